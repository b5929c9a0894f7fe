/* An empty module of Python, which setuptools builds and names for each platform. Nothing imports it: native.py loads
 * the library by its path, so it needs no header of Python's, and one build serves every version. */
#include "interface.h"

EXPORT void *PyInit__native(void) { return 0; }
