// SPDX-License-Identifier: Apache-2.0
// A target that only precompiles headers needs one source.
