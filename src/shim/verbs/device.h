// SPDX-License-Identifier: Apache-2.0
// The names under which the device appears, and where sysfs would have it.
#pragma once

namespace tideline::shim::verbs {

inline constexpr const char* kDeviceName = "tideline0";
inline constexpr const char* kUverbsName = "uverbs0";
inline constexpr const char* kDeviceClass = "/sys/class/infiniband";
inline constexpr const char* kUverbsClass = "/sys/class/infiniband_verbs";

}  // namespace tideline::shim::verbs
