// SPDX-License-Identifier: Apache-2.0
// The names under which the device appears, and where sysfs would have it.
#pragma once

namespace tideline::shim::verbs {

inline constexpr const char* kDeviceName = "tideline0";
inline constexpr const char* kUverbsName = "uverbs0";
inline constexpr const char* kDeviceClass = "/sys/class/infiniband";
inline constexpr const char* kUverbsClass = "/sys/class/infiniband_verbs";
// Of /dev/infiniband/uverbs0, as Linux numbers it.
inline constexpr unsigned kUverbsMajor = 231;
inline constexpr unsigned kUverbsMinor = 192;

}  // namespace tideline::shim::verbs
