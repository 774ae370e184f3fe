#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace lorikeet::simulator {

enum class TokenKind : uint8_t { word, number, text, mark, end };

// A view into the text that was read, which has to live as long.
struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;
  uint32_t line = 0;
};

// Words keep their dots and double colons: `ld.global.L1::no_allocate.v4.u32`, `%tid.x`, `.reg`. Throws
// PtxError.
std::vector<Token> tokens_of(std::string_view ptx);

}  // namespace lorikeet::simulator
