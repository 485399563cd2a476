// A Vulkan driver for Chromium's software adapter that forwards to Mesa's lavapipe, so that WebGPU in a browser without a GPU has
// shader-f16. Chromium accepts a CPU device only when it carries SwiftShader's ids (1AE0:C0DE); this file changes those two
// numbers in the two calls that report them and forwards everything else. Built by build.sh; tests only.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProc)(void *instance, const char *name);

// The leading members of VkPhysicalDeviceProperties; the rest is left as lavapipe wrote it.
struct properties { uint32_t api_version, driver_version, vendor_id, device_id, device_type; };
struct properties2 { int32_t type; void *next; struct properties properties; };

static GetProc driver;
static void (*driver_properties)(void *, struct properties *);
static void (*driver_properties2)(void *, struct properties2 *);

static void disguise(struct properties *p) {
  p->vendor_id = 0x1ae0;
  p->device_id = 0xc0de;
}

static void get_properties(void *device, struct properties *p) {
  driver_properties(device, p);
  disguise(p);
}

static void get_properties2(void *device, struct properties2 *p) {
  driver_properties2(device, p);
  disguise(&p->properties);
}

static int open_driver(void) {
  if (driver) return 1;
  void *library = dlopen("libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "chromium-f16: %s\n", dlerror());
    return 0;
  }
  driver = (GetProc)dlsym(library, "vk_icdGetInstanceProcAddr");
  return driver != NULL;
}

// Dawn opens the library by itself, without the Vulkan loader, and asks for this symbol.
__attribute__((visibility("default"))) Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (!open_driver()) return NULL;
  Function found = driver(instance, name);
  if (!found) return NULL;
  if (strcmp(name, "vkGetPhysicalDeviceProperties") == 0) {
    driver_properties = (void (*)(void *, struct properties *))found;
    return (Function)get_properties;
  }
  if (strcmp(name, "vkGetPhysicalDeviceProperties2") == 0 || strcmp(name, "vkGetPhysicalDeviceProperties2KHR") == 0) {
    driver_properties2 = (void (*)(void *, struct properties2 *))found;
    return (Function)get_properties2;
  }
  return found;
}

// The loader's name for the same thing.
__attribute__((visibility("default"))) Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  return vkGetInstanceProcAddr(instance, name);
}

__attribute__((visibility("default"))) int32_t vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
  if (*version > 5) *version = 5;
  return 0;
}
