// Compiles SPIR-V compute shaders with the Vulkan driver that the environment names, and prints one line of JSON for each file: what
// VK_KHR_pipeline_executable_properties knows of it, and the machine code as text. Nothing runs, so the driver may be one without a GPU.
//   cc -O1 -o compile compile.c -lvulkan        compile SUBGROUP_SIZE FILE.spv …        SUBGROUP_SIZE 0: the driver's choice
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define OK(call) do { VkResult result = (call); if (result != VK_SUCCESS) fail(#call, result); } while (0)
#define LOAD(name) PFN_##name name##_ = (PFN_##name)vkGetDeviceProcAddr(device, #name)
enum { MAX = 32 };

static void fail(const char *what, int code) { fprintf(stderr, "%s: %d\n", what, code); exit(1); }

static void text(const char *s) {
  putchar('"');
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') printf("\\%c", *s);
    else if (*s < 32 || *s > 126) printf("\\u%04x", (unsigned char)*s);
    else putchar(*s);
  }
  putchar('"');
}

// The bindings of set 0 and the entry point's name: all that a pipeline layout needs. Dawn puts everything into set 0.
static uint32_t reflect(const uint32_t *words, size_t count, VkDescriptorSetLayoutBinding *out, const char **entry) {
  uint32_t n = 0, *binding = calloc(words[3], 4);
  for (size_t i = 5; i < count; i += words[i] >> 16) {
    const uint32_t *op = words + i;
    if ((op[0] & 0xffff) == 15) *entry = (const char *)(op + 3); // OpEntryPoint
    if ((op[0] & 0xffff) == 71 && op[2] == 33) binding[op[1]] = op[3] + 1; // OpDecorate Binding
    if ((op[0] & 0xffff) != 59 || !binding[op[2]] || n == MAX) continue; // OpVariable
    const VkDescriptorType type = op[3] == 2 ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    out[n++] = (VkDescriptorSetLayoutBinding){ binding[op[2]] - 1, type, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL };
  }
  free(binding);
  return n;
}

static VkPhysicalDevice physical;

static VkDevice open_device(void) {
  VkInstance instance;
  VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_3 };
  OK(vkCreateInstance(&(VkInstanceCreateInfo){ .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app }, NULL, &instance));
  uint32_t one = 1;
  VkResult found = vkEnumeratePhysicalDevices(instance, &one, &physical);
  if (found < 0 || one == 0) fail("no Vulkan device", found);
  // Whatever of these the driver has, Dawn switches on, robust access to buffers among them.
  VkPhysicalDeviceRobustness2FeaturesEXT robust = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT };
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, .pNext = &robust };
  VkPhysicalDeviceVulkan13Features v13 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, .pNext = &executable };
  VkPhysicalDeviceVulkan12Features v12 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &v13 };
  VkPhysicalDeviceVulkan11Features v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &v12 };
  VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v11 };
  vkGetPhysicalDeviceFeatures2(physical, &features);
  robust.robustImageAccess2 = robust.nullDescriptor = v12.bufferDeviceAddressCaptureReplay = 0;
  const char *wanted[] = { "VK_KHR_pipeline_executable_properties", "VK_EXT_robustness2", "VK_KHR_shader_maximal_reconvergence",
    "VK_KHR_shader_subgroup_uniform_control_flow", "VK_KHR_cooperative_matrix", "VK_KHR_shader_relaxed_extended_instruction" };
  const char *names[8];
  uint32_t n = 0, all = 0;
  OK(vkEnumerateDeviceExtensionProperties(physical, NULL, &all, NULL));
  VkExtensionProperties *has = calloc(all, sizeof *has);
  OK(vkEnumerateDeviceExtensionProperties(physical, NULL, &all, has));
  for (uint32_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    for (uint32_t j = 0; j < all; j++)
      if (!strcmp(has[j].extensionName, wanted[i])) names[n++] = wanted[i];
  VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &(float){ 1 } };
  VkDevice device;
  OK(vkCreateDevice(physical, &(VkDeviceCreateInfo){ .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &features, .queueCreateInfoCount = 1,
    .pQueueCreateInfos = &queue, .enabledExtensionCount = n, .ppEnabledExtensionNames = names }, NULL, &device));
  return device;
}

static void report(VkDevice device, const char *path, uint32_t subgroup) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, 0);
  fseek(file, 0, SEEK_END);
  size_t size = ftell(file);
  rewind(file);
  uint32_t *code = malloc(size);
  if (fread(code, 1, size, file) != size) fail(path, 1);
  fclose(file);
  VkDescriptorSetLayoutBinding bindings[MAX];
  const char *entry = "main";
  uint32_t count = reflect(code, size / 4, bindings, &entry);
  VkDescriptorSetLayout set;
  OK(vkCreateDescriptorSetLayout(device, &(VkDescriptorSetLayoutCreateInfo){
    .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count, .pBindings = bindings }, NULL, &set));
  VkPushConstantRange push = { VK_SHADER_STAGE_COMPUTE_BIT, 0, 128 };
  VkPipelineLayout layout;
  OK(vkCreatePipelineLayout(device, &(VkPipelineLayoutCreateInfo){ .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
    .setLayoutCount = 1, .pSetLayouts = &set, .pushConstantRangeCount = 1, .pPushConstantRanges = &push }, NULL, &layout));
  VkShaderModule module;
  OK(vkCreateShaderModule(device, &(VkShaderModuleCreateInfo){
    .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = size, .pCode = code }, NULL, &module));
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required = {
    .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO, .requiredSubgroupSize = subgroup };
  VkComputePipelineCreateInfo create = { .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO, .layout = layout,
    .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR,
    .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .pNext = subgroup ? &required : NULL,
      .flags = subgroup ? 0 : VK_PIPELINE_SHADER_STAGE_CREATE_ALLOW_VARYING_SUBGROUP_SIZE_BIT,
      .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = module, .pName = entry } };
  VkPipeline pipeline;
  OK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &create, NULL, &pipeline));

  LOAD(vkGetPipelineExecutablePropertiesKHR);
  LOAD(vkGetPipelineExecutableStatisticsKHR);
  LOAD(vkGetPipelineExecutableInternalRepresentationsKHR);
  VkPipelineInfoKHR info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline };
  VkPipelineExecutablePropertiesKHR properties = { .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR };
  uint32_t one = 1, n = 0;
  VkResult got = vkGetPipelineExecutablePropertiesKHR_(device, &info, &one, &properties);
  if (got < 0 || one == 0) fail("vkGetPipelineExecutablePropertiesKHR", got);
  VkPhysicalDeviceProperties gpu;
  vkGetPhysicalDeviceProperties(physical, &gpu);
  printf("{\"device\":");
  text(gpu.deviceName);
  printf(",\"subgroup\":%u,\"stats\":{", properties.subgroupSize);
  VkPipelineExecutableInfoKHR which = { .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline };
  OK(vkGetPipelineExecutableStatisticsKHR_(device, &which, &n, NULL));
  VkPipelineExecutableStatisticKHR *stats = calloc(n, sizeof *stats);
  for (uint32_t i = 0; i < n; i++) stats[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  OK(vkGetPipelineExecutableStatisticsKHR_(device, &which, &n, stats));
  for (uint32_t i = 0; i < n; i++) {
    if (i) putchar(',');
    text(stats[i].name);
    if (stats[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR) printf(":%g", stats[i].value.f64);
    else printf(":%llu", (unsigned long long)stats[i].value.u64);
  }
  printf("},\"assembly\":");
  OK(vkGetPipelineExecutableInternalRepresentationsKHR_(device, &which, &n, NULL));
  VkPipelineExecutableInternalRepresentationKHR *forms = calloc(n, sizeof *forms);
  for (uint32_t i = 0; i < n; i++) forms[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  OK(vkGetPipelineExecutableInternalRepresentationsKHR_(device, &which, &n, forms));
  for (uint32_t i = 0; i < n; i++) forms[i].pData = calloc(1, forms[i].dataSize + 1);
  OK(vkGetPipelineExecutableInternalRepresentationsKHR_(device, &which, &n, forms));
  const char *assembly = "";
  for (uint32_t i = 0; i < n; i++)
    if (strstr(forms[i].name, "ssembly")) assembly = forms[i].pData;
  text(assembly);
  puts("}");
  fflush(stdout);
}

int main(int count, char **arguments) {
  VkDevice device = open_device();
  for (int i = 2; i < count; i++) report(device, arguments[i], atoi(arguments[1]));
  _Exit(0); // the process is the clean-up
}
