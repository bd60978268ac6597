#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/path/proof.hpp"

/// What both proofs need: the reads along a way, and words for what they show.
namespace sallyport::path {

/// The reads of a way's NSGs, if all are there, new enough, and tell what may be in force; else the
/// names of those that do not, or of the rule that is not known, are added to `unread`.
std::optional<std::vector<const NsgState*>> hops_of(const Way& way, const Observations& observed,
                                                    const std::map<NsgId, SteadyTime>& not_before,
                                                    std::set<std::string>& unread);

/// Tcp or Udp as they are; for `any` both, the two protocols that have ports.
std::vector<Protocol> protocols_of(Protocol protocol);

std::string label(const NsgId& nsg, std::string_view rule);  ///< `<nsg>/<rule>`

/// `rule <nsg>/<rule> as it was before its write (now Updating)`: what no read told.
std::string as_before(const NsgState& nsg, std::string_view rule);

/// `the read of nsg-web at 09:00:12Z`: names of NSGs, and when the oldest of their reads was sent.
std::string reads_in_words(const std::set<NsgId>& nsgs, const Observations& observed,
                           const Topology& topology);

std::string listed(const std::set<std::string>& names);  ///< `a, b`

}  // namespace sallyport::path
