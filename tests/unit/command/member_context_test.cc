// How the log carries a member.
#include <gtest/gtest.h>

#include "server/command/member_context.h"

namespace raftkv::server {
namespace {

Member member_at(uint64_t id, const std::string& host) {
  return {id, host, 7001, host, 17001};
}

TEST(MemberContext, ComesBackAsItWas) {
  for (const std::string host : {"127.0.0.1", "node-1.example_net", "::1", "fe80::1%eth0"}) {
    for (const bool promote : {false, true}) {
      Member member = member_at(7, host);
      member.promote = promote;
      const auto back = decode_member_context(7, encode_member_context(member));
      ASSERT_TRUE(back.has_value()) << back.error();
      EXPECT_EQ(*back, member) << host;
    }
  }
  // Logs hold it: it may not change.
  EXPECT_EQ(encode_member_context(member_at(7, "h")), "h:7001@h:17001");
}

TEST(MemberContext, RefusesWhatItCannotRead) {
  for (const char* context : {"", "h:7001", "h:7001@", "@h:7001", "h:7001@h:0", "h@h", "h:x@h:1",
                              "h:70001@h:1", "a b:1@h:1", "a,b:1@h:1", "h:1@h:2;later"}) {
    EXPECT_FALSE(decode_member_context(1, context).has_value()) << context;
  }
}

TEST(MemberContext, MembersAreSortedAndKnowTheirRoles) {
  raft::Membership membership;
  membership.voters = {2, 9};
  membership.outgoing_voters = {1, 2};
  membership.learners = {5};
  for (const uint64_t id : {1, 2, 5, 9}) {
    membership.contexts[id] = encode_member_context(member_at(id, "h" + std::to_string(id)));
  }
  const std::vector<Member> members = members_of(membership);
  ASSERT_EQ(members.size(), 4U);
  const auto expect = [&](size_t at, uint64_t id, MemberRole role) {
    EXPECT_EQ(members[at].id, id);
    EXPECT_EQ(members[at].role, role) << id;
    EXPECT_EQ(members[at].client_host, "h" + std::to_string(id));
  };
  expect(0, 1, MemberRole::kLeaving);
  expect(1, 2, MemberRole::kVoter);
  expect(2, 5, MemberRole::kLearner);
  expect(3, 9, MemberRole::kVoter);
}

TEST(MemberContext, AGroupBeginsWithVoters) {
  const std::vector<Member> members = {member_at(1, "a"), member_at(2, "b")};
  EXPECT_EQ(members_of(bootstrap_membership(members)), members);
}

TEST(MemberContext, AMemberOfAnotherVersionIsStillOne) {
  raft::Membership membership;
  membership.voters = {3};
  membership.contexts[3] = "nobody can read this";
  ASSERT_EQ(members_of(membership).size(), 1U);
  EXPECT_EQ(members_of(membership)[0].client_port, 0);
}

TEST(MemberContext, AddressesServeOnePurposeOfOneMember) {
  const std::vector<Member> others = {member_at(1, "a")};
  EXPECT_EQ(address_conflict(others, member_at(2, "b")), "");
  EXPECT_EQ(address_conflict(others, member_at(1, "a")), "");
  EXPECT_NE(address_conflict(others, member_at(2, "a")), "");
  EXPECT_NE(address_conflict({}, {2, "b", 1, "b", 1}), "");
  EXPECT_NE(address_conflict({}, member_at(2, "::")), "");
}

}  // namespace
}  // namespace raftkv::server
