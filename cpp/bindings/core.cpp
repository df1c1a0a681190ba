// The core's Python module, compiled once per instruction-set level: free functions on the caller's arrays.
//
// Each call checks the shapes it is about to rely on, releases the GIL for its whole work, writes only into the arrays
// it was given for that, and keeps nothing. Words for the user are the Python layer's business; a failed check here is a
// mistake of that layer.
#include <pybind11/complex.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "schurscope/optimizer.hpp"
#include "schurscope/schur.hpp"

namespace py = pybind11;
using namespace schurscope;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Matrix = py::array_t<double, py::array::f_style>;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

template <class A>
bool has_shape(const A& array, std::initializer_list<Index> shape) {
  if (array.ndim() != static_cast<Index>(shape.size())) return false;
  Index axis = 0;
  for (const Index size : shape) {
    if (array.shape(axis++) != size) return false;
  }
  return true;
}

/// Asks Python for pending signals; only the main thread has any, and only then is the GIL worth the wait.
class PythonSignals {
 public:
  PythonSignals() {
    const py::object threading = py::module_::import("threading");
    main_ = threading.attr("current_thread")().is(threading.attr("main_thread")());
  }
  Interrupt interrupt() const {
    if (!main_) return Interrupt{};
    return Interrupt{[] {
      const py::gil_scoped_acquire gil;
      return PyErr_CheckSignals() != 0;
    }};
  }

 private:
  bool main_;
};

/// Run a long call without the GIL. If a signal handler raised meanwhile, its exception is the call's.
template <class Call>
void run(const Call& call) {
  const PythonSignals signals;
  try {
    const py::gil_scoped_release released;
    Interrupt interrupt = signals.interrupt();
    call(interrupt);
  } catch (const Interrupted&) {
    throw py::error_already_set();
  }
}

/// The value of one of the names; the Python layer has checked them.
template <class Value>
Value named(const std::string& name, std::initializer_list<std::pair<const char*, Value>> values) {
  for (const auto& [known, value] : values) {
    if (name == known) return value;
  }
  throw std::invalid_argument("unknown name " + name);
}

Activation activation_of(const std::string& name) {
  return named<Activation>(name, {{"identity", Activation::identity},
                                  {"tanh", Activation::tanh},
                                  {"relu", Activation::relu},
                                  {"softplus", Activation::softplus},
                                  {"sigmoid", Activation::sigmoid}});
}

/// (activation, form, leak, output)
using CellNames = std::tuple<std::string, std::string, double, std::string>;

template <class T>
Cell<T> cell_of(const CellNames& names) {
  const auto& [activation, form, leak, output] = names;
  return {activation_of(activation), named<Form>(form, {{"rate", Form::rate}, {"current", Form::current}}),
          static_cast<T>(leak), activation_of(output)};
}

template <class T>
NetworkView<T> network_view(const Array<T>& W_hh, const Array<T>& W_xh, const Array<T>& b_h, const Array<T>& W_hy,
                            const Array<T>& b_y, const CellNames& cell) {
  require(W_hh.ndim() == 2 && W_xh.ndim() == 2 && W_hy.ndim() == 2, "weights must be matrices");
  const Index n_hidden = W_hh.shape(0), n_inputs = W_xh.shape(1), n_outputs = W_hy.shape(0);
  require(has_shape(W_hh, {n_hidden, n_hidden}) && has_shape(W_xh, {n_hidden, n_inputs}) &&
              has_shape(W_hy, {n_outputs, n_hidden}) && has_shape(b_h, {n_hidden}) && has_shape(b_y, {n_outputs}),
          "the shapes of the weights disagree");
  const auto bias = [](const Array<T>& b) {
    const T* const begin = b.data();
    return std::any_of(begin, begin + b.size(), [](T value) { return value != T(0); }) ? begin : nullptr;
  };
  return {n_hidden, n_inputs, n_outputs, W_hh.data(), W_xh.data(), W_hy.data(), bias(b_h), bias(b_y), cell_of<T>(cell)};
}

/// `h_0` is (trials, N_h), or (1, N_h) for all trials.
template <class T>
TrialsView<T> trials_view(const Array<T>& inputs, const std::optional<Array<T>>& h_0,
                          const std::optional<Array<T>>& noise, Index n_hidden) {
  require(inputs.ndim() == 3, "trials must be (trials, steps, features)");
  TrialsView<T> trials{inputs.shape(0), inputs.shape(1), inputs.shape(2), 0, n_hidden, inputs.data()};
  require(trials.n_trials > 0 && trials.n_steps > 0, "there must be a trial and a step");
  if (h_0) {
    trials.h_0_is_shared = h_0->ndim() == 2 && h_0->shape(0) == 1;
    require(trials.h_0_is_shared || has_shape(*h_0, {trials.n_trials, n_hidden}), "h_0 must be (trials, N_h)");
    require(h_0->shape(1) == n_hidden, "h_0 must be (1, N_h)");
    trials.h_0 = h_0->data();
  }
  if (noise) {
    require(has_shape(*noise, {trials.n_trials, trials.n_steps, n_hidden}), "noise must be (trials, steps, N_h)");
    trials.noise = noise->data();
  }
  return trials;
}

template <class T>
TrialsView<T> trials_view(const Array<T>& inputs, const Array<T>& targets, const Array<T>& weights,
                          const std::optional<Array<T>>& h_0, const std::optional<Array<T>>& noise, Index n_hidden) {
  TrialsView<T> trials = trials_view(inputs, h_0, noise, n_hidden);
  require(targets.ndim() == 3 && has_shape(targets, {trials.n_trials, trials.n_steps, targets.shape(2)}) &&
              has_shape(weights, {trials.n_trials, trials.n_steps}),
          "the shapes of the trials disagree");
  trials.n_outputs = targets.shape(2);
  trials.targets = targets.data();
  trials.weights = weights.data();
  return trials;
}

/// Rectangles (n, 4) of T with a gain each, inside (n_hidden, n_hidden).
std::vector<Rectangle> rectangles_of(const Array<std::int64_t>& array, const Array<double>& gains, Index n_hidden) {
  require(array.ndim() == 2 && array.shape(1) == 4 && has_shape(gains, {array.shape(0)}),
          "rectangles must be (n, 4) with n gains");
  const auto at = array.unchecked<2>();
  std::vector<Rectangle> rectangles;
  for (Index k = 0; k < array.shape(0); ++k) {
    rectangles.push_back({at(k, 0), at(k, 1), at(k, 2), at(k, 3)});
    for (Index c = 0; c < 4; ++c) require(at(k, c) >= 0 && at(k, c) <= n_hidden, "a rectangle lies outside T");
  }
  return rectangles;
}

/// Ablation a has the rectangles offsets[a] … offsets[a + 1].
std::vector<AblationView> ablations_of(const Array<std::int64_t>& offsets, const std::vector<Rectangle>& rectangles,
                                       const Array<double>& gains) {
  require(offsets.ndim() == 1 && offsets.size() >= 2, "offsets must have one entry more than there are ablations");
  std::vector<AblationView> ablations;
  for (Index a = 0; a + 1 < offsets.size(); ++a) {
    const Index begin = offsets.at(a), end = offsets.at(a + 1);
    require(0 <= begin && begin <= end && end <= static_cast<Index>(rectangles.size()), "offsets must not decrease");
    ablations.push_back({rectangles.data() + begin, gains.data() + begin, end - begin});
  }
  return ablations;
}

std::vector<Index> to_vector(const Array<std::int64_t>& array) { return {array.data(), array.data() + array.size()}; }

Array<std::int64_t> to_array(const std::vector<Index>& values) {
  Array<std::int64_t> array(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

Eigen::Map<const Eigen::MatrixXd> map(const Matrix& T) {
  require(T.ndim() == 2, "T must be a matrix");
  return {T.data(), T.shape(0), T.shape(1)};
}

void bind_schur(py::module_& m) {
  m.def("block_starts", [](const Matrix& T) { return to_array(block_starts(map(T))); }, py::arg("T").noconvert());
  m.def(
      "block_order",
      [](const Matrix& T, bool by_real_part, double shift) {
        const auto view = map(T);
        return to_array(block_order(view, block_starts(view), OrderKey{by_real_part, shift}));
      },
      py::arg("T").noconvert(), py::arg("by_real_part"), py::arg("shift"));
  m.def(
      "reorder_schur",
      [](Matrix T, Matrix Q, const Array<std::int64_t>& order) {
        require(T.ndim() == 2 && has_shape(Q, {T.shape(0), T.shape(1)}), "T and Q must have one shape");
        Eigen::Map<Eigen::MatrixXd> T_view(T.mutable_data(), T.shape(0), T.shape(1));
        Eigen::Map<Eigen::MatrixXd> Q_view(Q.mutable_data(), Q.shape(0), Q.shape(1));
        const std::vector<Index> wanted = to_vector(order);
        Reordering report;
        {
          const py::gil_scoped_release released;
          report = reorder(T_view, Q_view, wanted);
        }
        const Index n_refused = static_cast<Index>(report.refused.size());
        Array<std::complex<double>> refused(std::vector<Index>{n_refused, 2});
        for (Index k = 0; k < n_refused; ++k) {
          refused.mutable_at(k, 0) = report.refused[static_cast<std::size_t>(k)].first;
          refused.mutable_at(k, 1) = report.refused[static_cast<std::size_t>(k)].second;
        }
        return py::make_tuple(report.n_swaps, refused);
      },
      py::arg("T").noconvert(), py::arg("Q").noconvert(), py::arg("order").noconvert());
  m.def(
      "ablated_matrix",
      [](const Array<double>& W, const Array<double>& Q, const Array<double>& T, const Array<std::int64_t>& rectangles,
         const Array<double>& gains, Array<double> out) {
        require(W.ndim() == 2, "W must be a matrix");
        const Index n = W.shape(0);
        require(has_shape(W, {n, n}) && has_shape(Q, {n, n}) && has_shape(T, {n, n}) && has_shape(out, {n, n}),
                "W, Q, T and out must have one shape");
        const std::vector<Rectangle> checked = rectangles_of(rectangles, gains, n);
        AblationScratch scratch;
        return ablated_matrix(SchurView<double>{W.data(), Q.data(), T.data(), n},
                              AblationView{checked.data(), gains.data(), static_cast<Index>(checked.size())}, scratch,
                              out.mutable_data());
      },
      py::arg("W").noconvert(), py::arg("Q").noconvert(), py::arg("T").noconvert(), py::arg("rectangles").noconvert(),
      py::arg("gains").noconvert(), py::arg("out").noconvert());
  m.def(
      "removed_masses",
      [](const Array<double>& T, const Array<std::int64_t>& offsets, const Array<std::int64_t>& rectangles,
         const Array<double>& gains, Array<double> out) {
        require(T.ndim() == 2 && T.shape(0) == T.shape(1), "T must be square");
        const std::vector<Rectangle> checked = rectangles_of(rectangles, gains, T.shape(0));
        const std::vector<AblationView> ablations = ablations_of(offsets, checked, gains);
        require(has_shape(out, {offsets.size() - 1}), "out must have one entry per ablation");
        AblationScratch scratch;
        double* norm = out.mutable_data();
        for (const AblationView& ablation : ablations) *norm++ = remove(T.data(), T.shape(0), ablation, scratch).norm;
      },
      py::arg("T").noconvert(), py::arg("offsets").noconvert(), py::arg("rectangles").noconvert(),
      py::arg("gains").noconvert(), py::arg("out").noconvert());
  m.def(
      "cayley_matrix",
      [](const Array<double>& U, const Array<double>& pairs, const Array<double>& reals, Array<double> out) {
        require(U.ndim() == 2, "U must be a matrix");
        const Index n = U.shape(0);
        require(has_shape(U, {n, n}) && has_shape(out, {n, n}) && has_shape(pairs, {pairs.shape(0), 2}) &&
                    has_shape(reals, {n - 2 * pairs.shape(0)}),
                "the shapes of the Cayley parameters disagree");
        Cayley cayley(n, pairs.shape(0));
        Eigen::Map<RowMajorMatrix<double>>(out.mutable_data(), n, n) =
            cayley.matrix(U.data(), pairs.data(), reals.data());
      },
      py::arg("U").noconvert(), py::arg("pairs").noconvert(), py::arg("reals").noconvert(), py::arg("out").noconvert());
}

template <class T>
void bind_rollouts(py::module_& m) {
  m.def(
      "sweep",
      [](const Array<T>& W_hh, const Array<T>& W_xh, const Array<T>& b_h, const Array<T>& W_hy, const Array<T>& b_y,
         const CellNames& cell, const Array<double>& Q, const Array<double>& schur, const Array<std::int64_t>& offsets,
         const Array<std::int64_t>& rectangles, const Array<double>& gains, const Array<T>& inputs,
         const Array<T>& targets, const Array<T>& weights, const std::optional<Array<T>>& h_0,
         const std::optional<Array<T>>& noise, const std::string& measure, Array<double> per_trial,
         Array<double> per_step, int n_threads) {
        const NetworkView<T> network = network_view(W_hh, W_xh, b_h, W_hy, b_y, cell);
        const TrialsView<T> trials = trials_view(inputs, targets, weights, h_0, noise, network.n_hidden);
        const Measure what =
            named<Measure>(measure, {{"squared_error", Measure::squared_error}, {"agreement", Measure::agreement}});
        const Index n = network.n_hidden, n_ablations = offsets.size() - 1;
        require(trials.n_inputs == network.n_inputs && trials.n_outputs == network.n_outputs,
                "the trials do not fit the network");
        require(has_shape(Q, {n, n}) && has_shape(schur, {n, n}), "Q and T must have the shape of W_hh");
        require(
            has_shape(per_trial, {n_ablations, trials.n_trials}) && has_shape(per_step, {n_ablations, trials.n_steps}),
            "an output of the sweep has the wrong shape");
        const std::vector<Rectangle> checked = rectangles_of(rectangles, gains, n);
        const std::vector<AblationView> ablations = ablations_of(offsets, checked, gains);
        const SweepResult result{per_trial.mutable_data(), per_step.mutable_data()};
        const SchurView<T> view{network.W_hh, Q.data(), schur.data(), n};
        run([&](Interrupt& interrupt) { sweep(network, view, ablations, trials, what, result, n_threads, interrupt); });
      },
      py::arg("W_hh").noconvert(), py::arg("W_xh").noconvert(), py::arg("b_h").noconvert(), py::arg("W_hy").noconvert(),
      py::arg("b_y").noconvert(), py::arg("cell"), py::arg("Q").noconvert(), py::arg("T").noconvert(),
      py::arg("offsets").noconvert(), py::arg("rectangles").noconvert(), py::arg("gains").noconvert(),
      py::arg("inputs").noconvert(), py::arg("targets").noconvert(), py::arg("weights").noconvert(),
      py::arg("h_0").noconvert(), py::arg("noise").noconvert(), py::arg("measure"), py::arg("per_trial").noconvert(),
      py::arg("per_step").noconvert(), py::arg("n_threads"));

  m.def(
      "rollout",
      [](const Array<T>& W_hh, const Array<T>& W_xh, const Array<T>& b_h, const Array<T>& W_hy, const Array<T>& b_y,
         const CellNames& cell, const Array<T>& inputs, const std::optional<Array<T>>& h_0,
         const std::optional<Array<T>>& noise, std::optional<Array<T>> outputs, std::optional<Array<T>> states,
         int n_threads) {
        const NetworkView<T> network = network_view(W_hh, W_xh, b_h, W_hy, b_y, cell);
        const TrialsView<T> trials = trials_view(inputs, h_0, noise, network.n_hidden);
        const Index n_trials = trials.n_trials, n_steps = trials.n_steps;
        require(trials.n_inputs == network.n_inputs, "inputs must be (trials, steps, N_x)");
        require(!outputs || has_shape(*outputs, {n_trials, n_steps, network.n_outputs}), "outputs has the wrong shape");
        require(!states || has_shape(*states, {n_trials, n_steps, network.n_hidden}), "states has the wrong shape");
        T* const to_outputs = outputs ? outputs->mutable_data() : nullptr;
        T* const to_states = states ? states->mutable_data() : nullptr;
        run([&](Interrupt& interrupt) { rollout(network, trials, to_outputs, to_states, n_threads, interrupt); });
      },
      py::arg("W_hh").noconvert(), py::arg("W_xh").noconvert(), py::arg("b_h").noconvert(), py::arg("W_hy").noconvert(),
      py::arg("b_y").noconvert(), py::arg("cell"), py::arg("inputs").noconvert(), py::arg("h_0").noconvert(),
      py::arg("noise").noconvert(), py::arg("outputs").noconvert(), py::arg("states").noconvert(),
      py::arg("n_threads"));

  m.def(
      "activate",
      [](const std::string& activation, const Array<T>& x, Array<T> out) {
        require(x.ndim() == 1 && has_shape(out, {x.size()}), "x and out must be vectors of one length");
        const T* const from = x.data();
        T* const to = out.mutable_data();
        const Index rest = x.size() % lanes<T>, whole = x.size() - rest;
        with_activation(activation_of(activation), [&](auto phi) {
          const auto apply = [&](Index i, std::size_t count) {
            Vec<T> value{};
            std::memcpy(&value, from + i, count * sizeof(T));
            value = activate<decltype(phi)::value, T>(value);
            std::memcpy(to + i, &value, count * sizeof(T));
          };
          for (Index i = 0; i < whole; i += lanes<T>) apply(i, lanes<T>);
          apply(whole, static_cast<std::size_t>(rest));
        });
      },
      py::arg("activation"), py::arg("x").noconvert(), py::arg("out").noconvert());
}

template <class T>
void bind_training(py::module_& m) {
  m.def(
      "train",
      [](Array<T> theta, Array<T> first_moment, Array<T> second_moment, Index steps_done, Index n_hidden,
         Index n_inputs, Index n_outputs, Index n_pairs, bool has_b_h, bool has_b_y, const CellNames& cell,
         const Array<T>& inputs, const Array<T>& targets, const Array<T>& weights, const std::optional<Array<T>>& h_0,
         const std::optional<Array<T>>& noise, Index batch_size, double learning_rate, double beta1, double beta2,
         double epsilon, double weight_decay, bool decoupled, double clip, Array<double> loss) {
        const ParameterLayout layout{n_hidden, n_inputs, n_outputs, n_pairs, has_b_h, has_b_y};
        const TrialsView<T> trials = trials_view(inputs, targets, weights, h_0, noise, n_hidden);
        require(has_shape(theta, {layout.size()}) && has_shape(first_moment, {layout.size()}) &&
                    has_shape(second_moment, {layout.size()}),
                "theta and its moments must have the size of the layout");
        require(trials.n_inputs == n_inputs && trials.n_outputs == n_outputs, "the trials do not fit the network");
        require(batch_size > 0 && has_shape(loss, {trials.n_trials / batch_size}),
                "loss must have one entry per batch");
        const AdamOptions options{learning_rate, beta1, beta2, epsilon, weight_decay, decoupled, clip};
        T* const parameters = theta.mutable_data();
        T* const first = first_moment.mutable_data();
        T* const second = second_moment.mutable_data();
        double* const losses = loss.mutable_data();
        run([&](Interrupt& interrupt) {
          train(layout, cell_of<T>(cell), options, trials, batch_size, steps_done, parameters, first, second, losses,
                interrupt);
        });
      },
      py::arg("theta").noconvert(), py::arg("first_moment").noconvert(), py::arg("second_moment").noconvert(),
      py::arg("steps_done"), py::arg("n_hidden"), py::arg("n_inputs"), py::arg("n_outputs"), py::arg("n_pairs"),
      py::arg("has_b_h"), py::arg("has_b_y"), py::arg("cell"), py::arg("inputs").noconvert(),
      py::arg("targets").noconvert(), py::arg("weights").noconvert(), py::arg("h_0").noconvert(),
      py::arg("noise").noconvert(), py::arg("batch_size"), py::arg("learning_rate"), py::arg("beta1"), py::arg("beta2"),
      py::arg("epsilon"), py::arg("weight_decay"), py::arg("decoupled"), py::arg("clip"), py::arg("loss").noconvert());

  m.def(
      "loss_gradient",
      [](const Array<T>& theta, Index n_hidden, Index n_inputs, Index n_outputs, Index n_pairs, bool has_b_h,
         bool has_b_y, const CellNames& cell, const Array<T>& inputs, const Array<T>& targets, const Array<T>& weights,
         const std::optional<Array<T>>& h_0, const std::optional<Array<T>>& noise, Array<T> gradient) {
        const ParameterLayout layout{n_hidden, n_inputs, n_outputs, n_pairs, has_b_h, has_b_y};
        const TrialsView<T> trials = trials_view(inputs, targets, weights, h_0, noise, n_hidden);
        require(has_shape(theta, {layout.size()}) && has_shape(gradient, {layout.size()}),
                "theta and gradient must have the size of the layout");
        require(trials.n_inputs == n_inputs && trials.n_outputs == n_outputs, "the trials do not fit the network");
        T* const to = gradient.mutable_data();
        const py::gil_scoped_release released;
        return Objective<T>(layout, cell_of<T>(cell), trials.n_steps).loss_gradient(theta.data(), trials, to);
      },
      py::arg("theta").noconvert(), py::arg("n_hidden"), py::arg("n_inputs"), py::arg("n_outputs"), py::arg("n_pairs"),
      py::arg("has_b_h"), py::arg("has_b_y"), py::arg("cell"), py::arg("inputs").noconvert(),
      py::arg("targets").noconvert(), py::arg("weights").noconvert(), py::arg("h_0").noconvert(),
      py::arg("noise").noconvert(), py::arg("gradient").noconvert());
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

PYBIND11_MODULE(SCHURSCOPE_MODULE, m) {
  m.doc() = "The compiled core of schurscope, instruction-set level " SCHURSCOPE_LEVEL ".";
  m.attr("LEVEL") = SCHURSCOPE_LEVEL;
  m.def("build_info", [] {
    py::dict info;
    info["level"] = SCHURSCOPE_LEVEL;
    info["compiler"] = compiler();
    info["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                    std::to_string(EIGEN_MINOR_VERSION);
    info["vector_bits"] = std::to_string(8 * vector_bytes);
    return info;
  });
  m.def("active_threads", [] { return active_threads.load(); });
  bind_schur(m);
  bind_rollouts<float>(m);
  bind_rollouts<double>(m);
  bind_training<float>(m);
  bind_training<double>(m);
}
