#include <doctest/doctest.h>

#include "base/time.hpp"

using namespace sallyport;

TEST_CASE("RFC 3339 times are accepted as an API server accepts them") {
    struct Row {
        const char* why;
        const char* text;
        const char* canonical;  // nullptr: refused
    };
    for (const Row& row : {
             Row{"plain", "2026-11-21T09:00:00Z", "2026-11-21T09:00:00Z"},
             Row{"lower case", "2026-11-21t09:00:00z", "2026-11-21T09:00:00Z"},
             Row{"offset", "2026-11-21T09:00:00+02:00", "2026-11-21T07:00:00Z"},
             Row{"fraction dropped", "2026-11-21T09:00:00.123456789Z", "2026-11-21T09:00:00Z"},
             Row{"leap day", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
             Row{"no zone", "2026-11-21T09:00:00", nullptr},
             Row{"24:00", "2026-11-21T24:00:00Z", nullptr},
             Row{"30 February", "2026-02-30T00:00:00Z", nullptr},
             Row{"leap second", "2026-11-21T09:00:60Z", nullptr},
             Row{"offset without colon", "2026-11-21T09:00:00+0200", nullptr},
             Row{"no seconds", "2026-11-21T09:00Z", nullptr},
             Row{"trailing text", "2026-11-21T09:00:00Zx", nullptr},
             Row{"empty fraction", "2026-11-21T09:00:00.Z", nullptr},
             Row{"empty", "", nullptr},
         }) {
        CAPTURE(row.why);
        const auto time = parse_rfc3339(row.text);
        CHECK(time.has_value() == (row.canonical != nullptr));
        if (time && row.canonical) CHECK(format_rfc3339(*time) == row.canonical);
    }
}

TEST_CASE("durations are hours, minutes and seconds in that order") {
    struct Row {
        const char* why;
        const char* text;
        long seconds;  // -1: refused
        const char* canonical;
    };
    for (const Row& row :
         {Row{"minutes", "90m", 5400, "1h30m"}, Row{"mixed", "1h30m", 5400, "1h30m"},
          Row{"seconds", "45s", 45, "45s"}, Row{"zero", "0s", 0, "0s"},
          Row{"order", "30m1h", -1, ""}, Row{"twice", "1h1h", -1, ""}, Row{"no unit", "90", -1, ""},
          Row{"days", "1d", -1, ""}, Row{"sign", "-1h", -1, ""}, Row{"fraction", "1.5h", -1, ""},
          Row{"empty", "", -1, ""}, Row{"unit alone", "h", -1, ""},
          Row{"too long", "100000h", -1, ""}}) {
        CAPTURE(row.why);
        const auto duration = parse_duration(row.text);
        CHECK(duration.has_value() == (row.seconds >= 0));
        if (!duration) continue;
        CHECK(duration->count() == row.seconds);
        CHECK(format_duration(*duration) == row.canonical);
    }
}

TEST_CASE("HTTP dates are read and written") {
    const auto time = parse_http_date("Sat, 21 Nov 2026 09:00:01 GMT");
    REQUIRE(time);
    CHECK(format_rfc3339(*time) == "2026-11-21T09:00:01Z");
    CHECK(format_http_date(*time) == "Sat, 21 Nov 2026 09:00:01 GMT");
    CHECK_FALSE(parse_http_date("yesterday"));
}
