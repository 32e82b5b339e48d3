// SPDX-License-Identifier: Apache-2.0
// Precompiled for every test: as room.h.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "room.h"
