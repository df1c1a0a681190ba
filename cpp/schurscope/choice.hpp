// One of a list of types, chosen at run time by the static name of each type.
#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "schurscope/platform.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Options are empty types, each with a static `name`.
template <class... Options>
class Choice {
  template <class Option>
  static constexpr bool is_option = (std::is_same_v<Option, Options> || ...);

 public:
  /// In the order of the list.
  static constexpr std::array<const char*, sizeof...(Options)> names{Options::name...};

  template <class Option, class = std::enable_if_t<is_option<Option>>>
  constexpr Choice(Option) {
    // Counts the options before this one.
    static_cast<void>(((std::is_same_v<Option, Options> || (++index_, false)) || ...));
  }

  /// Throws std::invalid_argument if no option has that name.
  static Choice named(const std::string& name) {
    Choice choice;
    for (const char* const known : names) {
      if (name == known) return choice;
      ++choice.index_;
    }
    throw std::invalid_argument("unknown name " + name);
  }

  template <class Option>
  constexpr bool is() const {
    static_assert(is_option<Option>);
    return index_ == Choice(Option{}).index_;
  }

  /// Call f with the option.
  template <class F>
  void visit(const F& f) const {
    int index = 0;
    static_cast<void>(((index++ == index_ && (f(Options{}), true)) || ...));
  }

 private:
  constexpr Choice() = default;

  int index_ = 0;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
