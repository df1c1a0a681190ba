// The matrix types of the headers that compute with Eigen.
#pragma once

#include <Eigen/Core>

#include "schurscope/platform.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

template <class Scalar>
using RowMajorMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A column-major double matrix with any column stride, changed in place.
using MatrixRef = Eigen::Ref<Eigen::MatrixXd>;
using ConstMatrixRef = Eigen::Ref<const Eigen::MatrixXd>;

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
