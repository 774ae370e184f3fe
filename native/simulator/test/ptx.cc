#include <random>

#include "simulator/test/machine.h"

namespace lorikeet::simulator {

namespace {

constexpr const char* kHead = ".version 7.4\n.target sm_80\n.address_size 64\n";

// A kernel of these statements with some registers, beginning at line 5.
std::string kernel_of(const std::string& body) {
  return std::string(kHead) + ".visible .entry k(.param .u64 out) {\n" + body +
         "\n.reg .pred %p<4>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\nret;\n}\n";
}

std::string registers() {
  return ".reg .pred %p<4>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; ";
}

std::string error_of(const std::string& ptx) {
  DeviceMemory memory(1 << 20);
  auto loaded = LoadedModule::load(ptx, memory);
  const auto* error = std::get_if<std::string>(&loaded);
  return error ? *error : "";
}

std::string error_in(const std::string& statement) {
  return error_of(std::string(kHead) + ".visible .entry k(.param .u64 out) {\n" + registers() + "\n" +
                  statement + "\nret;\n}\n");
}

// Loads what may be damaged and runs what is left of its kernel, whatever that does by now.
std::string error_or_run(const std::string& ptx) {
  DeviceMemory memory(1 << 20);
  auto loaded = LoadedModule::load(ptx, memory);
  if (const auto* error = std::get_if<std::string>(&loaded)) return *error;
  const auto& module = *std::get<std::unique_ptr<LoadedModule>>(loaded);
  const size_t name = ptx.find(".entry ") + 7;
  const Program* const program = module.kernel(ptx.substr(name, ptx.find_first_of("( \n", name) - name));
  if (program == nullptr) return "";
  std::vector<uint8_t> parameters(program->parameter_bytes);
  const uint64_t values = *memory.allocate(4096);
  memory.mark(values, 4096, ByteState::ready);
  for (const Parameter& parameter : program->parameters) {
    if (parameter.bytes == 8) std::memcpy(parameters.data() + parameter.offset, &values, 8);
  }
  launch({*program, shape(2, 48, 256), parameters.data(), 1}, memory, {.budget = 5000});
  return "";
}

void expect_error(const std::string& statement, const std::string& part) {
  const std::string error = error_in(statement);
  INFO(statement, " -> ", error);
  CHECK(error.find("line 6: ") == 0);
  CHECK(error.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("an unknown instruction, modifier, type, register or label is an error with line and text") {
  expect_error("frobnicate.s32 %r1, %r2;", "an unknown instruction: frobnicate.s32 %r1, %r2");
  expect_error("add.turbo.s32 %r1, %r2, %r3;", "'.turbo'");
  expect_error("add %r1, %r2, %r3;", "no type");
  expect_error("add.pred %r1, %r2, %r3;", "do not go with 'add'");
  expect_error("add.s32 %rd1, %r2, %r3;", "'%rd1' has another size");
  expect_error("add.s32 %r1, %r2;", "an operand is missing");
  expect_error("add.s32 %r1, %r2, %r99;", "'%r99'");
  expect_error("bra nowhere;", "there is no 'nowhere'");
  expect_error("@%r1 bra nowhere;", "no predicate");
  expect_error("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r1}, {%r2}, {%r3}, {%r4};",
               "registers");
  expect_error("ld.global.v4.u32 {%r1, %r2}, [%rd1];", "vector of another length");
  expect_error("mov.u32 %r1, %clock;", "there is no '%clock'");
  expect_error("call.uni missing, (%r1);", "calls by address");
  expect_error("lop3.b32 %r1, %r2, %r3, %r4, %r5;", "a literal number");
}

TEST_CASE("what a module may not hold is refused with its line") {
  CHECK(error_of("").find("begins with .version") != std::string::npos);
  CHECK(error_of("\x7f"
                 "ELF")
            .find("no such character") != std::string::npos);
  CHECK(error_of(std::string(kHead) + ".global .b8 x[99999999999];").find("is more than") !=
        std::string::npos);
  CHECK(error_of(std::string(kHead) + ".shared .b8 x[9999999];").find("'x' is too large") !=
        std::string::npos);
  CHECK(error_of(std::string(kHead) + ".global .b32 x = {1, 2};").find("more initial values") !=
        std::string::npos);
  CHECK(error_of(std::string(kHead) + ".visible .entry k() {\n").find("does not end") != std::string::npos);
  CHECK(error_of(std::string(kHead) + "/* open").find("line 4: a comment does not end") != std::string::npos);
  CHECK(
      error_of(std::string(kHead) + ".func f() { call.uni f; ret; } .visible .entry k() { call.uni f; ret; }")
          .find("calls itself") != std::string::npos);
  CHECK(error_of(std::string(kHead) + ".visible .entry k() { ret; } .visible .entry k() { ret; }")
            .find("twice") != std::string::npos);
}

TEST_CASE("names in blocks hide those outside, and labels may stand behind their jumps") {
  const std::string body = registers() + R"(
    mov.u32 %r1, 1;
    { .reg .b32 %r1; mov.u32 %r1, 2; bra INNER; mov.u32 %r1, 3; INNER: }
    ld.param.u64 %rd1, [out];
    st.global.u32 [%rd1], %r1;
    bra DONE;
    st.global.u32 [%rd1], 7;
    DONE:
    ret;
    })";
  Machine machine(std::string(kHead) + ".visible .entry k(.param .u64 out) {" + body);
  const uint64_t out = machine.allocate(4);
  CHECK(!machine.launch("k", shape(1, 1), out).fault);
  CHECK(machine.download<uint32_t>(out, 1)[0] == 1);
}

TEST_CASE("initial values of variables: numbers, floats, strings of bytes, addresses of others") {
  Machine machine(std::string(kHead) + R"(
    .global .align 4 .u32 numbers[4] = {1, -1, 0x10};
    .global .f32 one = 0f3F800000;
    .const .align 8 .u64 pointers[2] = {numbers, generic(numbers)+8};
    .visible .entry k() { ret; })");
  const auto place = [&](const char* name) { return machine.module().variable(name)->address; };
  CHECK(machine.download<uint32_t>(place("numbers"), 4) == std::vector<uint32_t>{1, 0xffffffff, 16, 0});
  CHECK(machine.download<float>(place("one"), 1)[0] == 1.0f);
  CHECK(machine.download<uint64_t>(place("pointers"), 2) ==
        std::vector<uint64_t>{place("numbers"), place("numbers") + 8});
}

// Bytes changed, left out, doubled, and pieces put elsewhere, as the seed says: a module or an error, never a
// crash.
TEST_CASE("damaged PTX never breaks the reader") {
  const std::string sources[] = {kernels_text("planted.ptx"), kernels_text("right.ptx")};
  REQUIRE(sources[0].size() > 1000);
  const bool whole = std::getenv("LORIKEET_TEST_ALL") != nullptr;
  std::mt19937 random(2026);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random()) % limit; };
  int errors = 0, modules = 0;
  for (int round = 0; round < (whole ? 5000 : 150); ++round) {
    // A piece of the source is enough, and quicker: one function and what stands before it.
    std::string text = sources[round % 2];
    const size_t entry = text.find(".entry", below(text.size() - 2000)), end = text.find("\n}", entry);
    if (entry == std::string::npos || end == std::string::npos) continue;
    text = std::string(kHead) + ".extern .shared .align 16 .b8 dynamic[];\n" +
           text.substr(entry, end + 3 - entry);
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      const size_t at = below(text.size()), length = std::min(text.size() - at, 1 + below(12));
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          text.insert(at, text.substr(below(text.size()), length));
          break;
        case 3:
          text.insert(at, "9999999999");
          break;
        default:
          text.resize(at);
          break;
      }
      if (text.empty()) text = ".";
    }
    const std::string error = error_or_run(text);
    error.empty() ? ++modules : ++errors;
    if (!error.empty()) CHECK(error.find("line ") == 0);
  }
  CHECK(errors > 50);
  CHECK(modules > 0);
}

TEST_CASE("a kernel without a ret ends at its last statement") {
  Machine machine(kernel_of("{ .reg .b32 %x; mov.u32 %x, 3; }"));
  CHECK(!machine.launch("k", shape(2, 33), uint64_t{0}).fault);
}

}  // namespace lorikeet::simulator
