#include "simulator/test/machine.h"

namespace lorikeet::simulator {

namespace {

struct Planted {
  Machine machine;
  explicit Planted(Order order) : machine(kernels_text("planted.ptx"), {.order = order}) {}
};

// The kind, and the text that the reported line of PTX begins with.
void expect_fault(const LaunchResult& result, FaultKind kind, const std::string& instruction) {
  REQUIRE(result.fault);
  INFO(result.fault->text());
  CHECK(name_of(result.fault->kind) == name_of(kind));
  CHECK(result.fault->instruction.substr(0, instruction.size()) == instruction);
  CHECK(result.fault->line > 0);
}

}  // namespace

TEST_CASE("a missing barrier is a race, whichever warp is run first") {
  for (const Order order : all_orders()) {
    Planted planted(order);
    auto& machine = planted.machine;
    const LaunchResult result = machine.launch("missing_barrier", shape(1, 64), machine.allocate(256));
    REQUIRE(result.fault);
    // Whoever comes first reads what is not there yet, or later meets what he did not wait for.
    const FaultKind kind = result.fault->kind;
    CHECK((kind == FaultKind::shared_race || kind == FaultKind::uninitialised));
    CHECK(result.fault->detail.find("values") != std::string::npos);
    CHECK(result.fault->line > 0);
  }
}

TEST_CASE("a warp that skips a barrier and meets the others at the next is told with both lines") {
  for (const Order order : all_orders()) {
    Planted planted(order);
    auto& machine = planted.machine;
    const LaunchResult result = machine.launch("skipped_barrier", shape(1, 64), machine.allocate(256));
    expect_fault(result, FaultKind::mismatched_barrier, "bar.sync 0;");
    CHECK(result.fault->detail.find("by another warp at line") != std::string::npos);
  }
}

TEST_CASE("data of cp.async that is read before its wait is told with the line that reads") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t in = machine.upload(std::vector<float>(128, 1.0f));
  expect_fault(machine.launch("late_copy", shape(1, 32), machine.allocate(128), in), FaultKind::early_copy,
               "ld.shared.f32");
}

TEST_CASE("a read past the end of an allocation names the allocation and how far past it") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t in = machine.upload(std::vector<float>(32, 1.0f));
  const LaunchResult result = machine.launch("past_segment", shape(1, 32), machine.allocate(128), in, 32);
  expect_fault(result, FaultKind::out_of_bounds, "ld.global.f32");
  CHECK(result.fault->detail.find("0 bytes past the end of the allocation of 128 bytes") !=
        std::string::npos);
  CHECK(result.fault->lanes == 1u << 31);
}

TEST_CASE("a write over the end of a shared array does not land in its neighbour") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t out = machine.allocate(128);
  CHECK(!machine.launch("into_neighbour", shape(1, 32), out, 0).fault);
  const LaunchResult result = machine.launch("into_neighbour", shape(1, 32), out, 32);
  expect_fault(result, FaultKind::out_of_bounds, "st.shared");
  CHECK(result.fault->detail.find("past the end of") != std::string::npos);
}

TEST_CASE("two blocks that write one word are told with both blocks, in every order") {
  for (const Order order : all_orders()) {
    Planted planted(order);
    auto& machine = planted.machine;
    const LaunchResult result = machine.launch("two_blocks_one_word", shape(4, 32), machine.allocate(64));
    expect_fault(result, FaultKind::block_race, "st.global");
    CHECK(result.fault->detail.find("block (") != std::string::npos);
  }
}

TEST_CASE("a block that reads what another writes is told in every order") {
  for (const Order order : all_orders()) {
    Planted planted(order);
    auto& machine = planted.machine;
    const uint64_t out = machine.upload(std::vector<int>(64, 0));
    CHECK(machine.launch("reads_of_another_block", shape(2, 32), out).fault->kind == FaultKind::block_race);
  }
}

TEST_CASE("a shuffle in a branch names the lanes that are not there") {
  for (const Order order : all_orders()) {
    Planted planted(order);
    auto& machine = planted.machine;
    const LaunchResult result = machine.launch("shuffle_in_branch", shape(1, 32), machine.allocate(128));
    expect_fault(result, FaultKind::missing_lanes, "shfl.sync.bfly");
    CHECK(result.fault->detail.find("lanes 20-31") != std::string::npos);
  }
}

TEST_CASE("a barrier in a branch names the lanes that are not there") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const LaunchResult result = machine.launch("barrier_in_branch", shape(1, 32), machine.allocate(128));
  expect_fault(result, FaultKind::divergent_barrier, "bar.sync");
  CHECK(result.fault->detail.find("lanes 20-31") != std::string::npos);
}

TEST_CASE("a partial result that nobody wrote is told by the array and the place in it") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const LaunchResult result = machine.launch("uninitialised_partial", shape(1, 128), machine.allocate(16));
  expect_fault(result, FaultKind::uninitialised, "ld.shared.f32");
  CHECK(result.fault->detail.find("partial+12") != std::string::npos);
}

TEST_CASE("a read of global memory that nobody wrote, and of freed memory") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t out = machine.allocate(128), in = machine.allocate(128);
  expect_fault(machine.launch("reads_what_nobody_wrote", shape(1, 32), out, in), FaultKind::uninitialised,
               "ld.global.f32");
  REQUIRE(machine.memory().release(in));
  const LaunchResult result = machine.launch("reads_what_nobody_wrote", shape(1, 32), out, in);
  expect_fault(result, FaultKind::use_after_free, "ld.global.f32");
  CHECK(result.fault->detail.find("the freed allocation of 128 bytes") != std::string::npos);
}

TEST_CASE("a vector at an address that is no multiple of its size") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t in = machine.upload(std::vector<float>(256, 1.0f));
  expect_fault(machine.launch("misaligned_vector", shape(1, 32), machine.allocate(512), in),
               FaultKind::misaligned, "ld.global.v4");
}

TEST_CASE("warps that wait for each other at different barriers: who waits where") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const LaunchResult result = machine.launch("never_meets", shape(1, 64), machine.allocate(256));
  expect_fault(result, FaultKind::deadlock, "bar.sync");
  CHECK(result.fault->detail.find("warp 0 waits at line") != std::string::npos);
  CHECK(result.fault->detail.find("warp 1 waits at line") != std::string::npos);
}

TEST_CASE("a kernel that never ends is stopped by its budget of instructions") {
  Machine machine(kernels_text("planted.ptx"), {.budget = 1 << 20});
  expect_fault(machine.launch("never_ends", shape(1, 32), machine.upload(std::vector<int>{0})),
               FaultKind::endless, "");
}

TEST_CASE("lanes of one warp that exchange through shared memory need __syncwarp") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const LaunchResult result = machine.launch("within_warp", shape(1, 32), machine.allocate(128));
  expect_fault(result, FaultKind::shared_race, "ld.volatile.shared");
  CHECK(result.fault->detail.find("no __syncwarp") != std::string::npos);
}

TEST_CASE("launches that no device takes are refused with their reason") {
  Planted planted(Order::forward);
  auto& machine = planted.machine;
  const uint64_t out = machine.allocate(4096);
  const auto why = [&](LaunchShape launch_shape) {
    const LaunchResult result = machine.launch("missing_barrier", launch_shape, out);
    REQUIRE(result.fault);
    CHECK(result.fault->kind == FaultKind::bad_launch);
    return result.fault->detail;
  };
  CHECK(why(shape(1, 64, 227 * 1024)).find("232,448") != std::string::npos);
  CHECK(why(shape(1, 1025)).find("at most") != std::string::npos);
  CHECK(why({{1, 70000}, {32}, 0}).find("65,535") != std::string::npos);
  CHECK(why(shape(0, 32)) == "a dimension is 0");
}

TEST_CASE("a report says kernel, line, block and lanes") {
  Planted planted(Order::reverse);
  auto& machine = planted.machine;
  const LaunchResult result = machine.launch("shuffle_in_branch", shape(3, 32), machine.allocate(128));
  REQUIRE(result.fault);
  const std::string text = result.fault->text();
  CHECK(text.find("kernel shuffle_in_branch") != std::string::npos);
  CHECK(text.find("line " + std::to_string(result.fault->line) + ": shfl.sync.bfly") != std::string::npos);
  CHECK(text.find("block (2, 0, 0), warp 0, lanes 0-19") != std::string::npos);
}

}  // namespace lorikeet::simulator
