#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/peer/handshake.h"
#include "server/peer/log_gate.h"

namespace raftkv::server {
namespace {

using testing::HasSubstr;

const LocalIdentity kSelf{.id = 1,
                          .cluster_id = "alpha",
                          .members = {1, 2, 3},
                          .incarnation = 5,
                          .membership_index = 10,
                          .client_host = "client.example",
                          .client_port = 7001,
                          .peer_host = "peer.example",
                          .peer_port = 17001};

Hello good_hello() {
  return {.node_id = 2, .incarnation = 77, .target_id = 1, .cluster_id = "alpha"};
}

Incarnations nobody_known() {
  return {{}, nullptr};
}

std::string refusal(const Hello& hello, const LocalIdentity& self = kSelf) {
  Incarnations incarnations = nobody_known();
  const auto verdict = judge_hello(hello, self, incarnations);
  return verdict ? "" : verdict.error();
}

TEST(Handshake, AHelloIsReadBackAsItWasSent) {
  std::string bytes;
  encode_hello(good_hello(), bytes);
  const auto read = decode_hello(bytes);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->node_id, 2u);
  EXPECT_EQ(read->incarnation, 77u);
  EXPECT_EQ(read->target_id, 1u);
  EXPECT_EQ(read->cluster_id, "alpha");
  EXPECT_EQ(refusal(*read), "");
}

TEST(Handshake, AHelloTellsWhereItsSenderIsAndWhatItKnows) {
  std::string bytes;
  encode_hello(make_hello(kSelf, 9, Purpose::kSnapshot), bytes);
  const auto read = decode_hello(bytes);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->node_id, 1u);
  EXPECT_EQ(read->incarnation, 5u);
  EXPECT_EQ(read->target_id, 9u);
  EXPECT_EQ(read->purpose, Purpose::kSnapshot);
  EXPECT_EQ(read->membership_index, 10u);
  EXPECT_EQ(read->client_host, "client.example");
  EXPECT_EQ(read->client_port, 7001);
  EXPECT_EQ(read->peer_host, "peer.example");
  EXPECT_EQ(read->peer_port, 17001);
}

TEST(Handshake, WhoBelongsToNoMembershipBoastsOfNone) {
  LocalIdentity removed = kSelf;
  removed.members = {2, 3};
  EXPECT_EQ(make_hello(removed, 2, Purpose::kMessages).membership_index, 0u);
}

TEST(Handshake, AnUnknownPurposeIsRefused) {
  std::string bytes;
  encode_hello(good_hello(), bytes);
  bytes[36] = 3;
  const auto read = decode_hello(bytes);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error(), HasSubstr("unknown purpose 3"));
}

TEST(Handshake, TheLongestHelloFitsIntoAFrameOfTheHandshake) {
  LocalIdentity self = kSelf;
  self.cluster_id.assign(kClusterIdBytesMax, 'c');
  self.client_host = self.peer_host = std::string(kHostBytesMax, 'h');
  std::string bytes;
  encode_hello(make_hello(self, 2, Purpose::kMessages), bytes);
  EXPECT_LE(bytes.size(), kHandshakeBytesMax);
  EXPECT_EQ(decode_hello(bytes)->peer_host, self.peer_host);
}

TEST(Handshake, AStrangerIsLetInOnlyIfItMayKnowBetter) {
  Hello hello = make_hello(kSelf, 1, Purpose::kMessages);
  hello.node_id = 9;
  hello.membership_index = 10;
  EXPECT_THAT(refusal(hello), HasSubstr("node 9 is no member of this cluster; check"));
  hello.membership_index = 11;
  EXPECT_EQ(refusal(hello), "");
  hello.peer_port = 0;
  EXPECT_THAT(refusal(hello), HasSubstr("no address to answer it"));
  hello.peer_port = 1;
  hello.peer_host = "two words";
  EXPECT_THAT(refusal(hello), HasSubstr("no address to answer it"));
  hello.peer_host = "host";
  hello.membership_index = 0;
  LocalIdentity joining = kSelf;
  joining.joining = true;
  EXPECT_EQ(refusal(hello, joining), "");
  hello.cluster_id = "beta";
  EXPECT_THAT(refusal(hello, joining), HasSubstr("belongs to cluster beta"));
}

TEST(Handshake, ARemovedNodeIsToldSo) {
  LocalIdentity self = kSelf;
  self.removed = {9};
  Hello hello = make_hello(kSelf, 1, Purpose::kMessages);
  hello.node_id = 9;
  EXPECT_THAT(refusal(hello, self), HasSubstr("node 9 is not a member of this cluster any more;"));
  hello.membership_index = 11;  // and was added again since
  EXPECT_EQ(refusal(hello, self), "");
}

TEST(Handshake, AStrangerThatIsLetInIsNotRememberedButJudged) {
  std::vector<uint64_t> learnt;
  Incarnations incarnations({{8, 80}}, [&](uint64_t id, uint64_t) { learnt.push_back(id); });
  LocalIdentity joining = kSelf;
  joining.joining = true;
  Hello hello = make_hello(kSelf, 1, Purpose::kMessages);
  hello.node_id = 9;
  EXPECT_TRUE(judge_hello(hello, joining, incarnations));
  EXPECT_TRUE(learnt.empty());
  hello.node_id = 8;
  EXPECT_FALSE(judge_hello(hello, joining, incarnations));
}

TEST(Handshake, AForgottenNodeMayComeBackAsAnother) {
  Incarnations incarnations({{2, 76}}, nullptr);
  const auto refused = judge_hello(good_hello(), kSelf, incarnations);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr("raftkv-cli members replace --id 2, or members remove"));
  EXPECT_TRUE(incarnations.forget(2));
  EXPECT_FALSE(incarnations.forget(2));
  EXPECT_TRUE(judge_hello(good_hello(), kSelf, incarnations));
}

TEST(Handshake, AHelloCutAnywhereOrWithMoreBehindItIsRefused) {
  std::string bytes;
  encode_hello(good_hello(), bytes);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_hello(std::string_view(bytes).substr(0, length))) << length;
  }
  EXPECT_FALSE(decode_hello(bytes + "x"));
  std::string welcome;
  encode_welcome({.node_id = 2, .incarnation = 3}, welcome);
  for (size_t length = 0; length < welcome.size(); ++length) {
    EXPECT_FALSE(decode_welcome(std::string_view(welcome).substr(0, length))) << length;
  }
  EXPECT_FALSE(decode_welcome(welcome + "x"));
}

TEST(Handshake, EachThingThatIsWrongIsNamed) {
  Hello hello = good_hello();
  hello.cluster_id = "beta";
  EXPECT_THAT(refusal(hello), HasSubstr("belongs to cluster beta, this node to cluster alpha"));
  hello = good_hello();
  hello.target_id = 3;
  EXPECT_THAT(refusal(hello), HasSubstr("this is node 1, not node 3"));
  hello = good_hello();
  hello.node_id = 9;
  EXPECT_THAT(refusal(hello), HasSubstr("node 9 is no member"));
  hello = good_hello();
  hello.node_id = 1;
  EXPECT_THAT(refusal(hello), HasSubstr("two nodes claim the id 1"));
}

TEST(Handshake, OfAnotherVersionOnlyTheVersionIsJudged) {
  Hello hello = good_hello();
  hello.version = 9;
  std::string bytes;
  encode_hello(hello, bytes);
  const auto read = decode_hello(bytes + "fields of a later version");
  ASSERT_TRUE(read) << read.error();
  EXPECT_THAT(refusal(*read), HasSubstr("unknown peer protocol version 9 (this node speaks 3)"));
  EXPECT_THAT(refusal(*read), HasSubstr("raftkv-server --version"));
}

TEST(Handshake, ANodeThatComesBackWithAnotherIncarnationIsRefused) {
  std::vector<uint64_t> learnt;
  Incarnations incarnations({}, [&](uint64_t id, uint64_t incarnation) {
    learnt.push_back(id);
    learnt.push_back(incarnation);
  });
  Hello hello = good_hello();
  EXPECT_TRUE(judge_hello(hello, kSelf, incarnations));
  EXPECT_TRUE(judge_hello(hello, kSelf, incarnations));
  hello.incarnation = 78;
  const auto verdict = judge_hello(hello, kSelf, incarnations);
  ASSERT_FALSE(verdict);
  EXPECT_THAT(verdict.error(), HasSubstr("its data directory was replaced"));
  EXPECT_EQ(learnt, (std::vector<uint64_t>{2, 77}));
}

TEST(Handshake, IncarnationsOfEarlierRunsCount) {
  Incarnations incarnations({{2, 76}}, nullptr);
  EXPECT_FALSE(judge_hello(good_hello(), kSelf, incarnations));
  EXPECT_FALSE(judge_welcome({.node_id = 2, .incarnation = 77}, 2, incarnations));
  EXPECT_TRUE(judge_welcome({.node_id = 2, .incarnation = 76}, 2, incarnations));
}

TEST(Handshake, ARefusedHelloTeachesNoIncarnation) {
  Incarnations incarnations = nobody_known();
  Hello hello = good_hello();
  hello.cluster_id = "beta";
  hello.incarnation = 1;
  EXPECT_FALSE(judge_hello(hello, kSelf, incarnations));
  EXPECT_TRUE(judge_hello(good_hello(), kSelf, incarnations));
}

TEST(Handshake, AWelcomeFromTheWrongNodeIsRefused) {
  Incarnations incarnations = nobody_known();
  EXPECT_FALSE(judge_welcome({.node_id = 3, .incarnation = 1}, 2, incarnations));
  EXPECT_FALSE(judge_welcome({.version = 1, .node_id = 2, .incarnation = 1}, 2, incarnations));
  EXPECT_TRUE(judge_welcome({.node_id = 2, .incarnation = 1}, 2, incarnations));
}

TEST(Handshake, RandomBytesAreAnErrorAndNoMore) {
  std::mt19937_64 random(7);
  std::string good;
  encode_hello(good_hello(), good);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good.substr(0, random() % (good.size() + 1));
    for (int i = 0; i < 3 && !bytes.empty(); ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto read = decode_hello(bytes);
    if (read) {
      EXPECT_LE(read->cluster_id.size(), kClusterIdBytesMax);
    } else {
      EXPECT_FALSE(read.error().empty());
    }
  }
}

TEST(Handshake, TextFromOutsideIsPrintableAndBounded) {
  EXPECT_EQ(printable("a\nb\x1b[31m"), "a?b?[31m");
  EXPECT_EQ(printable(std::string(5000, 'x')).size(), 600u);
}

TEST(LogGate, HoldsBackRepetitionsAndCountsThem) {
  LogGate gate;
  EXPECT_TRUE(gate.passes("down", 1000));
  for (uint64_t now = 1001; now < 1001 + LogGate::kSameTextMs - 1; now += 100) {
    EXPECT_FALSE(gate.passes("down", now));
  }
  EXPECT_TRUE(gate.passes("down", 1000 + LogGate::kSameTextMs));
  EXPECT_EQ(gate.suffix(), " (300 lines held back)");
  EXPECT_FALSE(gate.passes("other", 1500 + LogGate::kSameTextMs));
  EXPECT_TRUE(gate.passes("other", 2000 + LogGate::kSameTextMs));
  gate.reset();
  EXPECT_TRUE(gate.passes("other", 2001 + LogGate::kSameTextMs));
}

}  // namespace
}  // namespace raftkv::server
