// Schur forms and the gains on their parts, as tuples of arrays.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "arguments.hpp"
#include "schurscope/perturbation/block_gains.hpp"
#include "schurscope/perturbation/combined.hpp"
#include "schurscope/perturbation/gains.hpp"

namespace bindings {

/// (Q, T)
using SchurArguments = std::tuple<Array<double>, Array<double>>;

/// (offsets, places, gains): places (n, 4) of T with a gain each; ablation a has the places offsets[a] … offsets[a + 1].
using PlacesArguments = std::tuple<Array<std::int64_t>, Array<std::int64_t>, Array<double>>;

/// Rectangles (first row, end row, first column, end column), and ranges (first row, end row) of blocks.
using AblationsArguments = std::tuple<PlacesArguments, PlacesArguments>;

using Perturbation = Combined<Gains, BlockGains>;

/// Places of one kind, copied and checked to lie inside (n, n), with their gains.
template <class Place, std::size_t size>
class Places {
 public:
  Places(const PlacesArguments& arguments, Index n) : offsets_(std::get<0>(arguments)), gains_(std::get<2>(arguments)) {
    const auto& [offsets, places, gains] = arguments;
    require(places.ndim() == 2 && places.shape(1) == size && has_shape(gains, {places.shape(0)}),
            "places must have one gain each");
    require(offsets.ndim() == 1 && offsets.size() >= 1, "offsets must have one entry more than there are ablations");
    const auto at = places.template unchecked<2>();
    for (Index k = 0; k < places.shape(0); ++k) {
      for (Index c = 0; c < static_cast<Index>(size); ++c) {
        require(at(k, c) >= 0 && at(k, c) <= n, "a place lies outside T");
      }
      if constexpr (size == 4) {
        places_.push_back({at(k, 0), at(k, 1), at(k, 2), at(k, 3)});
      } else {
        places_.push_back({at(k, 0), at(k, 1)});
      }
    }
    for (Index a = 0; a < count(); ++a) {
      require(0 <= offsets.at(a) && offsets.at(a) <= offsets.at(a + 1) &&
                  offsets.at(a + 1) <= static_cast<Index>(places_.size()),
              "offsets must not decrease");
    }
  }

  Index count() const { return offsets_.size() - 1; }

  template <class Part>
  Part part(Index ablation) const {
    const Index begin = offsets_.at(ablation), end = offsets_.at(ablation + 1);
    return {places_.data() + begin, gains_.data() + begin, end - begin};
  }

 private:
  Array<std::int64_t> offsets_;
  Array<double> gains_;
  std::vector<Place> places_;
};

/// The ablations of a call. Keeps what its perturbations point to.
class Ablations {
 public:
  Ablations(const AblationsArguments& arguments, Index n)
      : rectangles_(std::get<0>(arguments), n), ranges_(std::get<1>(arguments), n) {
    require(rectangles_.count() == ranges_.count() && rectangles_.count() > 0,
            "rectangles and ranges must be of the same ablations");
    for (Index a = 0; a < rectangles_.count(); ++a) {
      perturbations_.push_back({{rectangles_.part<Gains>(a), ranges_.part<BlockGains>(a)}});
    }
  }

  const std::vector<Perturbation>& perturbations() const { return perturbations_; }
  Index count() const { return static_cast<Index>(perturbations_.size()); }

 private:
  Places<Rectangle, 4> rectangles_;
  Places<BlockRange, 2> ranges_;
  std::vector<Perturbation> perturbations_;
};

}  // namespace bindings
