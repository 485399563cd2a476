"""Writes test/fixtures/onnx-container/ with ONNX's own Python library: tensors of every type in every form of storage, and a model with
branches, a loop, and functions. expected.json has the bytes of the tensors as they are in raw_data, and what the model computes.

  pip install --target node_modules/.cache/goldens/python onnx==1.23.1
  PYTHONPATH=node_modules/.cache/goldens/python python3 scripts/goldens/onnx-container.py && npx biome check --write test/fixtures/onnx-container
"""

import json
import pathlib

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

folder = pathlib.Path("test/fixtures/onnx-container")
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(7)
expected = {"tensors": {}}

# --- storage: the dtypes by their names in files, with the extremes of each
whole = {"U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "I32": np.int32, "U32": np.uint32, "I64": np.int64, "U64": np.uint64}
values = {}
for name, dtype in whole.items():
    info = np.iinfo(dtype)
    values[name] = np.array([[info.min, info.max, 0], [1, 127, info.max - 1]], dtype)
values["BOOL"] = np.array([[True, False, True], [False, False, True]])
for name, dtype in {"F16": np.float16, "F32": np.float32, "F64": np.float64, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz}.items():
    values[name] = np.array([[0.5, -1.75, 0], [1, -0.0625, 12]], np.float64).astype(dtype)
values["F8_E8M0"] = np.array([[1, 2, 4], [0.5, 128, 0.125]], np.float64).astype(ml_dtypes.float8_e8m0fnu)
values["C64"] = np.array([[1 + 2j, -3j, 0], [1, 2, 0.5 - 1j]], np.complex64)
values["U4"] = np.array([[0, 15, 7], [1, 8, 9], [10, 11, 5]], ml_dtypes.uint4)  # 9 elements: the last byte is half full
values["I4"] = np.array([[0, -8, 7], [1, -1, 5], [-4, 3, 2]], ml_dtypes.int4)
values["F4"] = np.array([[0, 0.5, 6], [1, -6, 3], [-1, 2, 4]], np.float64).astype(ml_dtypes.float4_e2m1fn)
values["U2"] = np.array([[0, 3, 2, 1, 1]], ml_dtypes.uint2)
values["I2"] = np.array([[0, -2, 1, -1, 1]], ml_dtypes.int2)

tensors = []
for name, array in values.items():
    raw = numpy_helper.from_array(array, f"{name}.raw")
    flat = array.flatten()
    numbers = flat.astype(np.float32) if "float" in str(array.dtype) and array.dtype != np.float64 else flat
    typed = helper.make_tensor(f"{name}.typed", raw.data_type, array.shape, numbers.tolist())
    assert raw.raw_data and not typed.raw_data, name
    assert numpy_helper.to_array(typed).tobytes() == array.tobytes(), name
    tensors += [raw, typed]
    expected["tensors"][name] = {"shape": list(array.shape), "hex": raw.raw_data.hex()}
opsets = [helper.make_opsetid("", 21), helper.make_opsetid("test.layers", 1)]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "storage", [helper.make_tensor_value_info("x", 1, ["M"])], [helper.make_tensor_value_info("y", 1, ["M"])], tensors)
model = helper.make_model(graph, opset_imports=opsets, ir_version=13)
onnx.save(model, folder / "storage.onnx")
(folder / "external.onnx_data").unlink(missing_ok=True)  # it would be added to
onnx.save(model, folder / "external.onnx", save_as_external_data=True, location="external.onnx_data", size_threshold=0)

# --- graphs in graphs
def weight(name, *shape):
    return numpy_helper.from_array(random.integers(-4, 5, shape).astype(np.float32), name)


def constant(output, tensor):
    return helper.make_node("Constant", [], [output], value=tensor)


def reference(name, type, to):
    """An attribute that is the call's attribute `to`."""
    attribute = helper.make_attribute_ref(name, type)
    attribute.ref_attr_name = to
    return attribute


def branch(name):
    """Both branches have the same names; those of the graph around them would be refused."""
    nodes = [constant("c", weight("", 4)), helper.make_node("MatMul", ["h", "own"], ["p"], name="product"), helper.make_node("Add", ["p", "c"], [f"{name}_y"])]
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}_y", 1, ["M", 4])], [weight("own", 4, 4)])


loop = helper.make_graph(
    [helper.make_node("MatMul", ["state", "own"], ["next"], name="product"), helper.make_node("Identity", ["go"], ["on"])],
    "loop",
    [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("state", 1, ["M", 4])],
    [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", 1, ["M", 4])],
    [weight("own", 4, 4)],
)
given = helper.make_node("Constant", [], ["w"])
given.attribute.append(reference("value", onnx.AttributeProto.TENSOR, "weight"))
turned = helper.make_node("Gemm", ["a", "w"], ["b"], name="gemm")
turned.attribute.append(reference("transB", onnx.AttributeProto.INT, "turned"))
functions = [
    helper.make_function("test.layers", "Linear", ["a"], ["b"], [given, turned], opsets, ["weight"], [helper.make_attribute("turned", 0)]),
    helper.make_function("test.layers", "Product", ["a", "m"], ["b"], [helper.make_node("MatMul", ["a", "m"], ["b"], name="product")], opsets),
    helper.make_function("test.layers", "Two", ["a", "m"], ["b"], [helper.make_node("Product", ["a", "m"], ["w"], name="first", domain="test.layers"), helper.make_node("Product", ["w", "m"], ["b"], name="second", domain="test.layers")], opsets),
]
call = lambda op, inputs, outputs, name, **attributes: helper.make_node(op, inputs, outputs, name=name, domain="test.layers", **attributes)
nodes = [
    call("Linear", ["x"], ["h0"], "fc1", weight=weight("", 3, 4)),
    call("Linear", ["h0"], ["h1"], "fc2", weight=weight("", 4, 4), turned=1),
    call("Two", ["h1", "w"], ["h"], "two"),
    helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
    helper.make_node("If", ["yes"], ["z"], name="if", then_branch=branch("then"), else_branch=branch("else")),
    helper.make_node("Constant", [], ["times"], value=numpy_helper.from_array(np.array(2, np.int64))),
    helper.make_node("Loop", ["times", "yes", "z"], ["l"], name="loop", body=loop),
    helper.make_node("MatMul", ["l", "w"], ["l2"], name="last"),
    helper.make_node("Constant", [], ["half"], value_float=0.5),
    helper.make_node("Constant", [], ["list"], value_floats=[1.0, 2.0, 3.0, 4.0]),
    helper.make_node("Constant", [], ["shape"], value_ints=[-1, 2]),
    helper.make_node("Constant", [], ["seven"], value_int=7),
    helper.make_node("Mul", ["l2", "half"], ["m"]),
    helper.make_node("Add", ["m", "list"], ["n"]),
    helper.make_node("Reshape", ["n", "shape"], ["y"]),
]
graph = helper.make_graph(nodes, "graphs", [helper.make_tensor_value_info("x", 1, ["M", 3])], [helper.make_tensor_value_info("y", 1, ["M", 2])], [weight("w", 4, 4)])
model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
onnx.checker.check_model(model)
onnx.save(model, folder / "graphs.onnx")
x = random.integers(-4, 5, (2, 3)).astype(np.float32)
(y,) = ReferenceEvaluator(inline_local_functions(model)).run(None, {"x": x})
expected["graphs"] = {"x": x.tolist(), "y": y.tolist()}
(folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
