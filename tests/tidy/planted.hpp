#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tidy/source.hpp"

namespace sallyport::tidy {

/// A violation planted in a file of its own, or the same thing done right: `at` 0 expects silence.
struct Planted {
    const char* why;
    File file;
    int at;  ///< line of the one expected finding
};

inline void expect(Findings (*check)(const std::vector<File>&), const Planted& planted,
                   std::vector<File> others = {}) {
    CAPTURE(planted.why);
    others.push_back(planted.file);

    const Findings findings = check(others);

    for (const Finding& finding : findings) CAPTURE(finding.text());
    if (planted.at == 0) {
        CHECK(findings.empty());
    } else {
        REQUIRE(findings.size() == 1);
        CHECK(findings.front().path == planted.file.path);
        CHECK(findings.front().line == planted.at);
    }
}

}  // namespace sallyport::tidy
