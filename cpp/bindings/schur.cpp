// Schur forms: their blocks and their order. T and Q are column-major, and changed in place.
#include <pybind11/complex.h>

#include <complex>
#include <vector>

#include "arguments.hpp"
#include "binders.hpp"
#include "schurscope/schur_order.hpp"

namespace bindings {

namespace {

using Matrix = py::array_t<double, py::array::f_style>;
using MatrixMap = Eigen::Map<Eigen::MatrixXd>;

Array<std::int64_t> to_array(const std::vector<Index>& values) {
  Array<std::int64_t> array(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

Array<std::int64_t> starts_of(const Matrix& T) {
  require(T.ndim() == 2, "T must be a matrix");
  const Eigen::Map<const Eigen::MatrixXd> view(T.data(), T.shape(0), T.shape(1));
  return to_array(without_gil([&] { return block_starts(view); }));
}

/// (n_swaps, refused) of a change of T and Q in place.
template <class Change>
py::tuple reordering(Matrix& T, Matrix& Q, const Change& change) {
  require(T.ndim() == 2 && has_shape(Q, {T.shape(0), T.shape(1)}), "T and Q must have one shape");
  MatrixMap T_view(T.mutable_data(), T.shape(0), T.shape(1)), Q_view(Q.mutable_data(), Q.shape(0), Q.shape(1));
  const Reordering report = without_gil([&] { return change(T_view, Q_view); });
  Array<std::complex<double>> refused(std::vector<Index>{static_cast<Index>(report.refused.size()), 2});
  std::complex<double>* entry = refused.mutable_data();
  for (const auto& [upper, lower] : report.refused) {
    *entry++ = upper;
    *entry++ = lower;
  }
  return py::make_tuple(report.n_swaps, refused);
}

}  // namespace

void bind_schur(py::module_& m) {
  m.def("block_starts", starts_of, py::arg("T").noconvert());
  m.def(
      "sort_blocks",
      [](Matrix T, Matrix Q, bool by_real_part, double shift) {
        return reordering(T, Q, [&](MatrixMap& T_view, MatrixMap& Q_view) {
          return sort_blocks(T_view, Q_view, OrderKey{by_real_part, shift});
        });
      },
      py::arg("T").noconvert(), py::arg("Q").noconvert(), py::arg("by_real_part"), py::arg("shift"));
  m.def(
      "reorder_schur",
      [](Matrix T, Matrix Q, const Array<std::int64_t>& order) {
        const std::vector<Index> wanted(order.data(), order.data() + order.size());
        return reordering(T, Q, [&](MatrixMap& T_view, MatrixMap& Q_view) { return reorder(T_view, Q_view, wanted); });
      },
      py::arg("T").noconvert(), py::arg("Q").noconvert(), py::arg("order").noconvert());
}

}  // namespace bindings
