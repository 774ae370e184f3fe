// What a network computes, in words: for the docs' table of families and for people who look at an engine.
#pragma once

#include <string>

#include "model/network.h"

namespace lorikeet {

// Each a list in plain words, "-" where there is nothing to say.
struct NetworkFeatures {
  std::string norms;
  std::string positions;
  std::string attention;
  std::string mlp;
  std::string others;  // multipliers, caps and ties
};

NetworkFeatures features_of(const Network& network);

}  // namespace lorikeet
