#pragma once

#include "ports/random.hpp"

namespace sallyport::system {

/// Unpredictable numbers from the kernel (getrandom). Any thread.
class SystemRandom final : public Random {
public:
    std::uint64_t next() override;
    std::string bytes(std::size_t size) override;
};

}  // namespace sallyport::system
