# SPDX-License-Identifier: Apache-2.0
# `cmake --install build/release --prefix DIR`: programs, the libraries that they put into others, manual pages, and
# completion for shells. The libraries are in DIR/lib, where `tideline run` looks, also where a distribution has others.
install(TARGETS tideline tidelined RUNTIME DESTINATION bin)
install(TARGETS tideline-sockets tideline-verbs tideline_library LIBRARY DESTINATION lib)
install(DIRECTORY include/ DESTINATION include)
install(TARGETS tideline_dropin_ibverbs tideline_dropin_rdmacm LIBRARY DESTINATION lib/tideline-dropin)

set(manual ${CMAKE_BINARY_DIR}/man)
set(completions ${CMAKE_BINARY_DIR}/completions)
add_custom_command(OUTPUT ${manual}/tideline.1 ${completions}/tideline
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${manual} ${completions}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${manual} ${completions}
  COMMAND tideline man --write ${manual}
  COMMAND tideline completion bash > ${completions}/tideline
  COMMAND tideline completion zsh > ${completions}/_tideline
  COMMAND tideline completion fish > ${completions}/tideline.fish
  DEPENDS tideline VERBATIM)
add_custom_target(manual ALL DEPENDS ${manual}/tideline.1)
install(DIRECTORY ${manual}/ DESTINATION share/man/man1)
install(FILES ${completions}/tideline DESTINATION share/bash-completion/completions)
install(FILES ${completions}/_tideline DESTINATION share/zsh/site-functions)
install(FILES ${completions}/tideline.fish DESTINATION share/fish/vendor_completions.d)
