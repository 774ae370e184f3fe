// What a library consists of whose sources are all left to a plain build.
