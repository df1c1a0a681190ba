// Choices from the lists: by name, in the order of the list.
#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#include "schurscope/activation.hpp"
#include "schurscope/measures/measures.hpp"

namespace {

using namespace schurscope;

template <class List>
void check_names() {
  for (const char* const name : List::names) {
    int calls = 0;
    List::named(name).visit([&](auto option) {
      using Option = std::decay_t<decltype(option)>;
      CHECK(std::string(Option::name) == name);
      CHECK(List(option).template is<Option>());
      ++calls;
    });
    CHECK(calls == 1);
  }
  CHECK_THROWS_WITH_AS(List::named("thanh"), "unknown name thanh", std::invalid_argument);
}

TEST_CASE("every option is found by its name, and only once") {
  check_names<Activation>();
  check_names<Measure>();
}

TEST_CASE("an option is what it was made of and nothing else") {
  const Activation relu = activations::Relu{};
  CHECK(relu.is<activations::Relu>());
  CHECK(!relu.is<activations::Tanh>());
  CHECK(Measure::named("accuracy").is<measures::Accuracy>());
  CHECK(!Measure::named("accuracy").is<measures::Agreement>());
}

}  // namespace
