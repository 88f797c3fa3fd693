#include "client/io_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "client/cluster_client.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;

// Two connected sockets: what is written to one is read from the other.
class Sockets {
 public:
  Sockets() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0); }
  ~Sockets() {
    close(ends_[0]);
    hang_up();
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  int mine() const { return ends_[0]; }
  void send() const { EXPECT_EQ(write(ends_[1], "x", 1), 1); }
  void hang_up() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{};
};

Task<short> events_of(IoLoop& loop, int fd, Clock::duration patience) {
  co_return co_await loop.ready(fd, POLLIN, Clock::now() + patience);
}

Task<void> note_at(IoLoop& loop, Deadline deadline, std::string& notes, char mark) {
  co_await loop.until(deadline);
  EXPECT_GE(Clock::now(), deadline);
  notes += mark;
}

TEST(IoLoop, GoesOnWithWhatIsThere) {
  IoLoop loop;
  const Sockets sockets;
  sockets.send();
  EXPECT_EQ(loop.run(events_of(loop, sockets.mine(), 10s)), POLLIN);
}

TEST(IoLoop, GoesOnWithNothingWhenTimeIsUp) {
  IoLoop loop;
  const Sockets sockets;
  const auto start = Clock::now();
  EXPECT_EQ(loop.run(events_of(loop, sockets.mine(), 20ms)), 0);
  EXPECT_GE(Clock::now() - start, 20ms);
}

TEST(IoLoop, AHangUpIsNews) {
  IoLoop loop;
  Sockets sockets;
  sockets.hang_up();
  EXPECT_NE(loop.run(events_of(loop, sockets.mine(), 10s)), 0);
}

TEST(IoLoop, EachGoesOnAtItsOwnTime) {
  IoLoop loop;
  std::string notes;
  const auto now = Clock::now();
  Task<void> last = note_at(loop, now + 30ms, notes, 'c');
  Task<void> first = note_at(loop, now - 1s, notes, 'a');
  Task<void> middle = note_at(loop, now + 15ms, notes, 'b');
  for (Task<void>* task : {&last, &first, &middle}) task->start();
  EXPECT_EQ(notes, "") << "not before the loop runs";
  loop.run();
  EXPECT_EQ(notes, "abc");
  EXPECT_TRUE(last.done() && first.done() && middle.done());
}

Task<void> read_and_send(IoLoop& loop, int fd, const Sockets& next, std::string& notes) {
  const short events = co_await loop.ready(fd, POLLIN, Clock::now() + 10s);
  notes += events == POLLIN ? 'r' : '-';
  next.send();
  // A wait that begins while others go on.
  co_await loop.until(Clock::now() + 1ms);
  notes += 'w';
}

TEST(IoLoop, WhoIsNotReadyWaitsOn) {
  IoLoop loop;
  const Sockets one;
  const Sockets two;
  const Sockets three;
  std::string notes;
  Task<void> second = read_and_send(loop, two.mine(), three, notes);
  Task<void> first = read_and_send(loop, one.mine(), two, notes);
  second.start();
  first.start();
  one.send();
  loop.run();
  EXPECT_EQ(notes.size(), 4U);
  EXPECT_EQ(notes.front(), 'r');
  EXPECT_EQ(notes.find('-'), std::string::npos) << "each had its event, none its deadline";
}

TEST(IoLoop, WhatIsRunGetsItsResultWhileOthersWaitOn) {
  IoLoop loop;
  std::string notes;
  Task<void> slow = note_at(loop, Clock::now() + 50ms, notes, 's');
  slow.start();
  loop.run(note_at(loop, Clock::now() + 1ms, notes, 'q'));
  EXPECT_EQ(notes, "q");
  loop.run();
  EXPECT_EQ(notes, "qs");
}

Task<std::unique_ptr<int>> made(int value) {
  co_return std::make_unique<int>(value);
}

Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) {
    const std::unique_ptr<int> one = co_await made(i);
    sum += *one;
  }
  co_return sum;
}

TEST(Task, GivesWhatItAwaitedToWhoAwaitsIt) {
  IoLoop loop;
  EXPECT_EQ(loop.run(sum_of(100)), 4950);
}

TEST(Task, BeginsOnlyWhenItIsAwaitedOrStarted) {
  IoLoop loop;
  std::string notes;
  { const Task<void> never = note_at(loop, Clock::now(), notes, 'n'); }
  loop.run();
  EXPECT_EQ(notes, "");
}

Task<void> set_and_note(IoLoop& loop, ClusterClient& client, std::string& notes, char mark) {
  const Command command = {.args = {"SET", "k", "v"}};
  const std::vector<Result> results = co_await client.pipeline(loop, {&command, 1});
  notes += results.size() == 1 && results[0] ? mark : '-';
}

TEST(IoLoop, AClientThatWaitsForItsNodeHoldsNoOtherUp) {
  FakeNode slow([](const Args&) { return Answer{.bytes = "+OK\r\n", .delay = 200ms}; });
  FakeNode quick([](const Args&) { return ok(); });
  IoLoop loop;
  ClusterClient patient({slow.address()});
  ClusterClient other({quick.address()});
  std::string notes;
  Task<void> first = set_and_note(loop, patient, notes, 's');
  Task<void> second = set_and_note(loop, other, notes, 'q');
  first.start();
  second.start();
  loop.run();
  EXPECT_EQ(notes, "qs");
}

}  // namespace
}  // namespace raftkv::client
