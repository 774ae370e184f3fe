#pragma once
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/ptx/error.h"
#include "simulator/ptx/lexer.h"

namespace lorikeet::simulator {

// Walks over tokens; whatever does not fit is a PtxError that names the line and the text.
class Cursor {
 public:
  explicit Cursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool at_end() const { return peek().kind == TokenKind::end; }
  uint32_t line() const { return peek().line; }
  bool sees(std::string_view text, size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return token.text == text && (token.kind == TokenKind::mark || token.kind == TokenKind::word);
  }

  Token next() {
    const Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool take(std::string_view text) {
    if (!sees(text)) return false;
    next();
    return true;
  }

  void expect(std::string_view text) {
    if (!take(text)) fail("expected '" + std::string(text) + "'");
  }

  std::string_view word(const char* what) {
    if (peek().kind != TokenKind::word) fail(std::string("expected ") + what);
    return next().text;
  }

  // An unsigned number of at most `limit`.
  uint64_t count(uint64_t limit) {
    const Token token = peek();
    const uint64_t value = integer();
    if (value > limit) {
      throw PtxError(token.line, "'" + std::string(token.text) + "' is more than " + std::to_string(limit));
    }
    return value;
  }

  // As PTX writes them: decimal, 0x, 0b, octal with a leading 0, and a U behind.
  uint64_t integer() {
    if (peek().kind != TokenKind::number) fail("expected a number");
    std::string_view digits = peek().text;
    if (digits.size() > 1 && (digits.back() == 'U' || digits.back() == 'u')) digits.remove_suffix(1);
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'b' || digits[1] == 'B')) {
      base = 2;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits[0] == '0') {
      base = 8;
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc() || end != digits.data() + digits.size()) fail("no such number");
    next();
    return value;
  }

  // Skips to behind the `close` that belongs to an `open` which was taken already.
  void skip_to(std::string_view open, std::string_view close) {
    for (int depth = 1; depth > 0; next()) {
      if (at_end()) fail("expected '" + std::string(close) + "'");
      depth += sees(open) - sees(close);
    }
  }

  [[noreturn]] void fail(const std::string& message) const {
    const Token& token = peek();
    const std::string found = token.kind == TokenKind::end ? "the end" : "'" + std::string(token.text) + "'";
    throw PtxError(token.line, message + ", found " + found);
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace lorikeet::simulator
