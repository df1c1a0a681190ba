# Finds Eigen, for the build of schurscope and for find_package(schurscope).

string(CONCAT SCHURSCOPE_EIGEN_NOT_FOUND
  "schurscope's headers need those of Eigen 3.4 or 5, which are not found. Install them where schurscope is "
  "(pip install \"cmeel-eigen>=3.4,<4\"), or from the system (libeigen3-dev), or set Eigen3_DIR.")

# schurscope_find_eigen(FOLDER...): Eigen3_FOUND and Eigen3::Eigen. The package cmeel-eigen keeps its headers one folder
# below site-packages, which these folders name.
macro(schurscope_find_eigen)
  set(schurscope_eigen_hints ${ARGN})
  list(TRANSFORM schurscope_eigen_hints APPEND /cmeel.prefix)
  # Each asks for its own major version. The search for one forgets an Eigen3_DIR that holds the other.
  set(schurscope_eigen_dir ${Eigen3_DIR})
  foreach(schurscope_eigen_version 3.4 5)
    if(NOT Eigen3_FOUND)
      if(schurscope_eigen_dir)
        set(Eigen3_DIR ${schurscope_eigen_dir} CACHE PATH "" FORCE)
      endif()
      find_package(Eigen3 ${schurscope_eigen_version} QUIET NO_MODULE HINTS ${schurscope_eigen_hints})
    endif()
  endforeach()
  unset(schurscope_eigen_dir)
  unset(schurscope_eigen_hints)
endmacro()
