#include <gtest/gtest.h>

#include <random>
#include <string>

#include "server/net/byte_buffer.h"

namespace raftkv::server {
namespace {

TEST(ByteBuffer, BehavesLikeAStringThatLosesItsFront) {
  std::mt19937_64 random(5);
  ByteBuffer buffer;
  std::string model;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 8) {
      case 0:
        if (random() % 50 == 0) {
          buffer.reset();
          model.clear();
        }
        break;
      case 1:
      case 2:
      case 3: {
        const size_t count = model.empty() ? 0 : random() % (model.size() + 1);
        buffer.consume(count);
        model.erase(0, count);
        break;
      }
      default: {
        const std::string more(random() % 300, static_cast<char>('a' + random() % 26));
        buffer.append(more);
        model += more;
      }
    }
    ASSERT_EQ(buffer.view(), model);
    ASSERT_EQ(buffer.empty(), model.empty());
  }
}

TEST(ByteBuffer, GivesAtLeastTheRoomThatWasAskedFor) {
  ByteBuffer buffer;
  for (size_t bytes = 1; bytes < 100'000; bytes *= 3) {
    EXPECT_GE(buffer.prepare(bytes).size(), bytes);
    buffer.commit(bytes / 2);
  }
}

TEST(ByteBuffer, AStreamThatIsConsumedAsItArrivesDoesNotGrow) {
  ByteBuffer buffer;
  for (int i = 0; i < 100'000; ++i) {
    buffer.append("0123456789");
    if (i > 10) buffer.consume(10);
  }
  EXPECT_LT(buffer.capacity(), 2000u);
}

}  // namespace
}  // namespace raftkv::server
