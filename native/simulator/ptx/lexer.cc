#include "simulator/ptx/lexer.h"

#include <string>

#include "simulator/ptx/error.h"

namespace lorikeet::simulator {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool starts_word(char c) {
  return is_letter(c) || c == '_' || c == '$' || c == '%' || c == '.';
}
bool in_word(char c) {
  return starts_word(c) || is_digit(c);
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    for (skip_blank(); at_ < text_.size(); skip_blank()) tokens.push_back(next());
    tokens.push_back({TokenKind::end, {}, line_});
    return tokens;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void step() { line_ += text_[at_++] == '\n'; }

  void skip_blank() {
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0') {
        step();
      } else if (c == '/' && peek(1) == '/') {
        while (at_ < text_.size() && peek() != '\n') ++at_;
      } else if (c == '/' && peek(1) == '*') {
        skip_comment();
      } else {
        return;
      }
    }
  }

  void skip_comment() {
    const uint32_t began = line_;
    at_ += 2;
    while (!(peek() == '*' && peek(1) == '/')) {
      if (at_ >= text_.size()) throw PtxError(began, "a comment does not end");
      step();
    }
    at_ += 2;
  }

  Token next() {
    const size_t began = at_;
    const char c = peek();
    if (starts_word(c)) {
      while (in_word(peek()) || (peek() == ':' && peek(1) == ':') || (peek() == ':' && text_[at_ - 1] == ':'))
        ++at_;
      return take(TokenKind::word, began);
    }
    if (is_digit(c)) {
      while (is_digit(peek()) || is_letter(peek()) || peek() == '.') ++at_;
      return take(TokenKind::number, began);
    }
    if (c == '"') return quoted();
    constexpr std::string_view marks = "{}[]()<>,;:@!|=+-&*~?/";
    if (marks.find(c) == std::string_view::npos) {
      throw PtxError(line_,
                     "no such character in PTX: code " + std::to_string(static_cast<unsigned char>(c)));
    }
    ++at_;
    return take(TokenKind::mark, began);
  }

  Token quoted() {
    const size_t began = ++at_;
    while (peek() != '"') {
      if (at_ >= text_.size() || peek() == '\n') throw PtxError(line_, "a quoted text does not end");
      ++at_;
    }
    const Token token = take(TokenKind::text, began);
    ++at_;
    return token;
  }

  Token take(TokenKind kind, size_t began) const { return {kind, text_.substr(began, at_ - began), line_}; }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view ptx) {
  return Lexer(ptx).run();
}

}  // namespace lorikeet::simulator
