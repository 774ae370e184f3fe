// lorikeet_quantize FROM TO [THREADS]: a checkpoint in NF4 as bitsandbytes writes it.
#include <cstdio>
#include <cstdlib>

#include "model/nf4_writer.h"

int main(int argc, char** argv) {
  const int threads = argc == 4 ? std::atoi(argv[3]) : 1;
  if (argc < 3 || argc > 4 || threads < 1) {
    std::fprintf(stderr, "usage: lorikeet_quantize FROM TO [THREADS]\n");
    return 2;
  }
  const lorikeet::Status status = lorikeet::write_nf4_checkpoint(argv[1], argv[2], threads);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
