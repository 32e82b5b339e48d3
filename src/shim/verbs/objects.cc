// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {

void Batch::clear() {
  entries.clear();
  sges.clear();
  inline_data.clear();
  error = 0;
}

Context& context_of(ibv_context* context) {
  return *reinterpret_cast<Context*>(verbs_get_ctx(context)->priv);
}

}  // namespace tideline::shim::verbs
