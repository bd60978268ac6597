# Puts text files into the program at build time, so that it needs none at run time.
# Usage: sallyport_embed(TARGET NAME FILE...) adds to TARGET a source that defines
#   std::span<const std::string_view> sallyport::apiserver::NAME();
# with one text for each file, in the order given. Editing a file configures and builds anew.
function(sallyport_embed target name)
  set(texts "")
  set(count 0)
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} text)
    string(APPEND texts "    R\"embedded(${text})embedded\",\n")
    math(EXPR count "${count} + 1")
  endforeach()
  set(source ${CMAKE_BINARY_DIR}/embedded/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"// Made by src/apiserver/embed.cmake.
#include <array>
#include <span>
#include <string_view>

namespace sallyport::apiserver {

std::span<const std::string_view> ${name}();

std::span<const std::string_view> ${name}() {
    static constexpr std::array<std::string_view, ${count}> texts{
${texts}    };
    return texts;
}

}  // namespace sallyport::apiserver
")
  target_sources(${target} PRIVATE ${source})
endfunction()

file(GLOB crds CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/crds/*.yaml)
sallyport_embed(sallyport_apiserver embedded_crds ${crds})
sallyport_embed(sallyport_apiserver embedded_builtins
                ${CMAKE_SOURCE_DIR}/src/apiserver/builtins.yaml)
