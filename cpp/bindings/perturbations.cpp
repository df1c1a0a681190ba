// Recurrent matrices computed from a perturbed Schur form or from Cayley parameters.
#include "binders.hpp"
#include "gains.hpp"
#include "schurscope/cayley.hpp"

namespace bindings {

namespace {

/// W (n, n), schur (Q, T), one ablation; returns ||dT||_F.
double to_ablated_matrix(const Array<double>& W, const SchurArguments& schur, const AblationsArguments& ablation,
                         Array<double> out) {
  const auto& [Q, T] = schur;
  require(W.ndim() == 2, "W must be a matrix");
  const Index n = W.shape(0);
  require(has_shape(W, {n, n}) && has_shape(Q, {n, n}) && has_shape(T, {n, n}) && has_shape(out, {n, n}),
          "W, Q, T and out must have one shape");
  const Ablations checked(ablation, n);
  require(checked.count() == 1, "there must be one ablation");
  const SchurView<double> view{W.data(), Q.data(), T.data(), n};
  const Perturbation& perturbation = checked.perturbations().front();
  double* const to = out.mutable_data();
  return without_gil([&] {
    PerturbationScratch scratch;
    return ablated_matrix(view, perturbation, scratch, to);
  });
}

void to_removed_masses(const Array<double>& T, const AblationsArguments& arguments, Array<double> out) {
  require(T.ndim() == 2 && T.shape(0) == T.shape(1), "T must be square");
  const Index n = T.shape(0);
  const Ablations ablations(arguments, n);
  require(has_shape(out, {ablations.count()}), "out must have one entry per ablation");
  const double* const from = T.data();
  double* norm = out.mutable_data();
  without_gil([&] {
    PerturbationScratch scratch;
    for (const Perturbation& ablation : ablations.perturbations()) *norm++ = remove(from, n, ablation, scratch).norm;
  });
}

void to_cayley_matrix(const Array<double>& U, const Array<double>& pairs, const Array<double>& reals,
                      Array<double> out) {
  require(U.ndim() == 2 && pairs.ndim() == 2, "U and pairs must be matrices");
  const Index n = U.shape(0), n_pairs = pairs.shape(0);
  require(has_shape(U, {n, n}) && has_shape(out, {n, n}) && has_shape(pairs, {n_pairs, 2}) &&
              has_shape(reals, {n - 2 * n_pairs}),
          "the shapes of the Cayley parameters disagree");
  const double *const of_U = U.data(), *const of_pairs = pairs.data(), *const of_reals = reals.data();
  Eigen::Map<RowMajorMatrix<double>> W(out.mutable_data(), n, n);
  without_gil([&] {
    Cayley cayley(n, n_pairs);
    W = cayley.matrix(of_U, of_pairs, of_reals);
  });
}

}  // namespace

void bind_perturbations(py::module_& m) {
  m.def("ablated_matrix", to_ablated_matrix, py::arg("W").noconvert(), py::arg("schur").noconvert(),
        py::arg("ablation").noconvert(), py::arg("out").noconvert());
  m.def("removed_masses", to_removed_masses, py::arg("T").noconvert(), py::arg("ablations").noconvert(),
        py::arg("out").noconvert());
  m.def("cayley_matrix", to_cayley_matrix, py::arg("U").noconvert(), py::arg("pairs").noconvert(),
        py::arg("reals").noconvert(), py::arg("out").noconvert());
}

}  // namespace bindings
