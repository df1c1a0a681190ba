// Fails if the linker took the same function for both levels.
using Function = void (*)();

Function function_of_baseline();
Function function_of_x86_64_v3();

int main() { return function_of_baseline() == function_of_x86_64_v3() ? 1 : 0; }
