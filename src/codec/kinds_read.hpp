#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "codec/json_read.hpp"
#include "model/account.hpp"
#include "model/object.hpp"
#include "model/port.hpp"

/// What the decoders of the kinds share. Each reader reports problems at its field and gives a
/// fallback.
namespace sallyport::codec {

inline constexpr std::size_t names_max = 64;
inline constexpr std::size_t name_size_max = 320;
inline constexpr std::int64_t number_max = std::numeric_limits<std::int64_t>::max();

/// Reports another kind or group than the one meant; absent is fine, as in the items of some lists.
void check_type(const Field& object, Kind kind);
ObjectMeta read_meta(const Field& metadata);

/// 1 to 65535, or a range of them; an integer or a text. `*` is refused.
std::optional<PortRange> read_port(const Field& field);
std::optional<Protocol> read_protocol(const Field& field);  ///< Tcp, Udp or Any
std::optional<seconds> read_duration(const Field& field, seconds min, seconds max);
std::optional<Timestamp> read_time(const Field& field);
/// Networks without host bits.
std::vector<Cidr> read_cidrs(const Field& field);

template <class T>
Result<T> decoded(T value, const Problems& problems) {
    if (!problems.empty()) return problems.error();
    return value;
}

}  // namespace sallyport::codec
