/* SPDX-License-Identifier: Apache-2.0 */
/* Version of the library. These macros are the single truth: the build, zeta.pc and the soname read them. */
#ifndef ZETA_VERSION_H
#define ZETA_VERSION_H

#define ZETA_VERSION_MAJOR 0
#define ZETA_VERSION_MINOR 1
#define ZETA_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ZETA_API
#if defined(__GNUC__)
#define ZETA_API __attribute__((visibility("default")))
#else
#define ZETA_API
#endif
#endif

/* Version of the library that is loaded, "major.minor.patch"; a static string. */
ZETA_API const char *zeta_version(void);

#ifdef __cplusplus
}
#endif
#endif
