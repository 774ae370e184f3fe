#include "test/checks.h"

namespace lorikeet::test {

TEST_CASE("a failed check of a Status or a Result shows its error") {
  CHECK(doctest::toString(Status(Error{"no module q_proj"})) == "error: no module q_proj");
  CHECK(doctest::toString(Status()) == "ok");
  CHECK(doctest::toString(Result<int>(Error{"cannot open"})) == "error: cannot open");
  CHECK(doctest::toString(Result<int>(3)) == "a value");
}

}  // namespace lorikeet::test
