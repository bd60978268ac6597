#include "sim/sequences.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <charconv>

#include "sim/operations.hpp"
#include "sim/plan_judge.hpp"
#include "sim/scenes.hpp"
#include "sim/shrink.hpp"

using namespace sallyport;
using namespace sallyport::sim;

// S8: sequences of operations. `make sim PLAN=S8/sequence/17` replays one; SALLYPORT_SEQUENCES and
// SALLYPORT_FIRST_SEQUENCE run others.
namespace {

/// Of so many, one in `usual_stride` with every `make test`; all: SALLYPORT_PLANS_STRIDE=1.
constexpr std::uint64_t usual_sequences = 500;
#ifdef NDEBUG
constexpr std::uint64_t usual_stride = 25;
#else
constexpr std::uint64_t usual_stride = 250;
#endif
constexpr std::size_t shrinking_tries = 60;
const std::string prefix = "S8/sequence/";

std::string head_of(const std::string& wrong) {
    const std::size_t at = wrong.find(':');
    // A step's number changes when others are left out.
    const bool numbered = wrong.starts_with("step ") && at != wrong.npos;
    const std::string rest = numbered ? wrong.substr(at + 2) : wrong;
    return rest.substr(0, rest.find(':'));
}

std::string shrunk(std::uint64_t seed, const Sequence& sequence, const std::string& wrong) {
    const auto part = [&](const std::vector<std::size_t>& numbers) {
        Sequence some;
        for (const std::size_t number : numbers) some.push_back(sequence[number]);
        return some;
    };
    const auto fails = [&](const std::vector<std::size_t>& numbers) {
        return head_of(run_sequence(part(numbers)).wrong) == head_of(wrong);
    };
    const Sequence least = part(shrink(sequence.size(), fails, shrinking_tries));
    const SequenceResult last = run_sequence(least);
    std::string text = fmt::format("{}{}: {}\nof {} steps these are left:\n", prefix, seed,
                                   last.wrong, sequence.size());
    for (const SequenceStep& step : least) text += "  " + step.text() + "\n";
    return text + last.told;
}

void run_sequences(std::uint64_t shard, std::uint64_t shards) {
    const std::string plan = setting("SALLYPORT_PLAN");
    std::uint64_t first = setting("SALLYPORT_FIRST_SEQUENCE", 1);
    std::uint64_t count = setting("SALLYPORT_SEQUENCES", usual_sequences);
    const bool chosen = !setting("SALLYPORT_SEQUENCES").empty();
    std::uint64_t stride = chosen ? 1 : setting("SALLYPORT_PLANS_STRIDE", usual_stride);
    if (!plan.empty()) {
        const std::string number = plan.starts_with(prefix) ? plan.substr(prefix.size()) : "";
        if (number.empty() || shard != 0) return;
        std::from_chars(number.data(), number.data() + number.size(), first);
        count = stride = shards = 1;
    }
    int failed = 0, ran = 0, accepted = 0, refused = 0, compared = 0;
    for (std::uint64_t i = shard; i * std::max<std::uint64_t>(stride, 1) < count; i += shards) {
        const std::uint64_t seed = first + i * stride;
        const Sequence sequence = draw_sequence(seed);
        const SequenceResult result = run_sequence(sequence);
        ++ran;
        accepted += result.accepted;
        refused += result.refused;
        compared += result.compared;
        if (result.wrong.empty()) continue;
        MESSAGE("FAILED ", prefix, seed, ": ", result.wrong.substr(0, 600));
        if (++failed == 1)
            MESSAGE(shrunk(seed, sequence, result.wrong), "SALLYPORT_PLAN=", prefix, seed);
    }
    MESSAGE("sequences: ", accepted, " steps accepted, ", refused, " refused, ", compared,
            " compared; plans ran S8 ", ran);
    CHECK(failed == 0);
}

}  // namespace

TEST_CASE("operations: sequences come to the world that began with them, and back (1 of 2)") {
    run_sequences(0, 2);
}
TEST_CASE("operations: sequences come to the world that began with them, and back (2 of 2)") {
    run_sequences(1, 2);
}
