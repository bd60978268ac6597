#include "base/time.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

namespace sallyport {
namespace {

namespace chr = std::chrono;

/// Takes exactly `digits` digits from the front of `text`.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) return std::nullopt;
    int value = 0;
    const char* end = text.data() + digits;
    const auto [stopped, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc() || stopped != end || text.front() == '-') return std::nullopt;
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, char upper, char lower) {
    if (text.empty() || (text.front() != upper && text.front() != lower)) return false;
    text.remove_prefix(1);
    return true;
}
bool take(std::string_view& text, char c) { return take(text, c, c); }

std::optional<chr::minutes> take_zone(std::string_view& text) {
    if (take(text, 'Z', 'z')) return chr::minutes(0);
    const bool west = take(text, '-');
    if (!west && !take(text, '+')) return std::nullopt;
    const auto hours = take_number(text, 2);
    if (!hours || !take(text, ':')) return std::nullopt;
    const auto minutes = take_number(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    const chr::minutes offset = chr::hours(*hours) + chr::minutes(*minutes);
    return west ? -offset : offset;
}

std::optional<Timestamp> read_rfc3339(std::string_view text) {
    const auto year = take_number(text, 4);
    if (!year || !take(text, '-')) return std::nullopt;
    const auto month = take_number(text, 2);
    if (!month || !take(text, '-')) return std::nullopt;
    const auto day = take_number(text, 2);
    if (!day || !take(text, 'T', 't')) return std::nullopt;
    const auto hour = take_number(text, 2);
    if (!hour || !take(text, ':')) return std::nullopt;
    const auto minute = take_number(text, 2);
    if (!minute || !take(text, ':')) return std::nullopt;
    const auto second = take_number(text, 2);
    if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    if (take(text, '.')) {
        const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
        if (digits == 0) return std::nullopt;
        text.remove_prefix(digits);
    }
    const auto offset = take_zone(text);
    if (!offset || !text.empty()) return std::nullopt;
    const chr::year_month_day date{chr::year(*year), chr::month(static_cast<unsigned>(*month)),
                                   chr::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return std::nullopt;
    return chr::sys_days(date) + chr::hours(*hour) + chr::minutes(*minute) + chr::seconds(*second) -
           *offset;
}

constexpr std::array<const char*, 7> weekdays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Civil {
    chr::year_month_day date;
    chr::hh_mm_ss<seconds> time;
    chr::weekday weekday;
};
Civil civil(Timestamp time) {
    const auto day = chr::floor<chr::days>(time);
    return {chr::year_month_day(day), chr::hh_mm_ss<seconds>(time - day), chr::weekday(day)};
}

}  // namespace

Result<Timestamp> parse_rfc3339(std::string_view text) {
    if (const auto time = read_rfc3339(text)) return *time;
    return invalid(
        fmt::format("\"{}\" is not an RFC 3339 time with a zone, such as 2026-11-21T09:00:00Z",
                    text.substr(0, 64)));
}

std::string format_rfc3339(Timestamp time) {
    const Civil c = civil(time);
    const int year = static_cast<int>(c.date.year());
    std::string text = year >= 0 && year <= 9999 ? std::string() : fmt::format("{:04}", year);
    const auto add = [&text](int number, int digits, char after) {
        for (int unit = digits == 4 ? 1000 : 10; unit > 0; unit /= 10)
            text += static_cast<char>('0' + number / unit % 10);
        text += after;
    };
    if (text.empty()) {
        add(year, 4, '-');
    } else {
        text += '-';
    }
    add(static_cast<int>(static_cast<unsigned>(c.date.month())), 2, '-');
    add(static_cast<int>(static_cast<unsigned>(c.date.day())), 2, 'T');
    add(static_cast<int>(c.time.hours().count()), 2, ':');
    add(static_cast<int>(c.time.minutes().count()), 2, ':');
    add(static_cast<int>(c.time.seconds().count()), 2, 'Z');
    return text;
}

Result<seconds> parse_duration(std::string_view text) {
    const auto refuse = [&] {
        return invalid(
            fmt::format("\"{}\" is not a duration such as 90m, 3h or 1h30m", text.substr(0, 32)));
    };
    constexpr std::string_view units = "hms";
    constexpr std::array<int, 3> unit_seconds = {3600, 60, 1};
    constexpr std::ptrdiff_t digits_max = 5;
    std::string_view rest = text;
    std::size_t next_unit = 0;
    seconds total(0);
    if (rest.empty()) return refuse();
    while (!rest.empty()) {
        int value = 0;
        const auto [stopped, failure] =
            std::from_chars(rest.data(), rest.data() + rest.size(), value);
        const std::ptrdiff_t digits = stopped - rest.data();
        if (failure != std::errc() || digits > digits_max || rest.front() == '-') return refuse();
        rest.remove_prefix(static_cast<std::size_t>(digits));
        const std::size_t unit = rest.empty() ? units.npos : units.find(rest.front());
        if (unit == units.npos || unit < next_unit) return refuse();
        rest.remove_prefix(1);
        next_unit = unit + 1;
        total += seconds(static_cast<long long>(value) * unit_seconds[unit]);
    }
    return total;
}

std::string format_duration(seconds duration) {
    const auto count = duration.count();
    if (count <= 0) return "0s";
    std::string text;
    if (count >= 3600) text += fmt::format("{}h", count / 3600);
    if (count % 3600 >= 60) text += fmt::format("{}m", count % 3600 / 60);
    if (count % 60 > 0) text += fmt::format("{}s", count % 60);
    return text;
}

Result<Timestamp> parse_http_date(std::string_view text) {
    const auto refuse = [&] {
        return invalid(fmt::format("\"{}\" is not an HTTP date", text.substr(0, 64)));
    };
    std::string_view rest = text;
    if (rest.size() != 29) return refuse();
    rest.remove_prefix(5);
    const auto day = take_number(rest, 2);
    if (!day || !take(rest, ' ')) return refuse();
    unsigned month = 0;
    while (month < 12 && rest.substr(0, 3) != months[month]) ++month;
    rest.remove_prefix(3);
    if (month == 12 || !take(rest, ' ')) return refuse();
    const auto year = take_number(rest, 4);
    if (!year || !take(rest, ' ')) return refuse();
    const auto time = read_rfc3339(
        fmt::format("{:04}-{:02}-{:02}T{}Z", *year, month + 1, *day, rest.substr(0, 8)));
    if (!time || rest.substr(8) != " GMT") return refuse();
    return *time;
}

std::string format_http_date(Timestamp time) {
    const Civil c = civil(time);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[c.weekday.c_encoding()],
                       static_cast<unsigned>(c.date.day()),
                       months[static_cast<unsigned>(c.date.month()) - 1],
                       static_cast<int>(c.date.year()), c.time.hours().count(),
                       c.time.minutes().count(), c.time.seconds().count());
}

}  // namespace sallyport
