"""Writes test/fixtures/onnx-dynamic/ with ONNX Runtime's quantize_dynamic: a model of three products whose x is rounded to uint8 as it runs, with
weights of int8 and uint8, a scale for all or for each output; and what ONNX Runtime's optimizer makes of one, whose nodes are fused.
expected.json has the weights (N, K) that the scales and zero points say, x, the bias, and ONNX Runtime's y: float32 as hexadecimal bytes.

  pip install --target node_modules/.cache/goldens/python onnx==1.23.1 onnxruntime==1.30.0
  PYTHONPATH=node_modules/.cache/goldens/python python3 scripts/goldens/onnx-dynamic.py && npx biome check --write test/fixtures/onnx-dynamic
"""

import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

folder = pathlib.Path("test/fixtures/onnx-dynamic")
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(11)
matrix = lambda name, *shape: numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

# h = x Wa + a; y = h Wb + h Wc: one rounding of h for two products, so that the optimizer fuses them in another way than the first.
nodes = [
    helper.make_node("MatMul", ["x", "Wa"], ["p"], name="a/MatMul"),
    helper.make_node("Add", ["a", "p"], ["h"], name="a/Add"),
    helper.make_node("MatMul", ["h", "Wb"], ["q"], name="b/MatMul"),
    helper.make_node("MatMul", ["h", "Wc"], ["r"], name="c/MatMul"),
    helper.make_node("Add", ["q", "r"], ["y"], name="sum"),
]
weights = [matrix("Wa", 48, 20), matrix("a", 20), matrix("Wb", 20, 12), matrix("Wc", 20, 12)]
graph = helper.make_graph(nodes, "dynamic", [helper.make_tensor_value_info("x", 1, ["M", 48])], [helper.make_tensor_value_info("y", 1, ["M", 12])], weights)
hexadecimal = lambda array: np.asarray(array, np.float32).tobytes().hex()
x = random.standard_normal((3, 48)).astype(np.float32)
expected = {"x": hexadecimal(x), "bias": hexadecimal(numpy_helper.to_array(weights[1])), "models": {}}


def weights_of(model):
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    of = lambda name: ((constants[f"{name}_quantized"].astype(np.float32) - constants[f"{name}_zero_point"].astype(np.float32)) * constants[f"{name}_scale"]).T
    return {name: hexadecimal(of(name)) for name in ["Wa", "Wb", "Wc"]}


with tempfile.TemporaryDirectory() as place:
    source = f"{place}/model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    for per_channel in [False, True]:
        for kind in [QuantType.QInt8, QuantType.QUInt8]:
            name = f"{'channel' if per_channel else 'tensor'}-{'int8' if kind == QuantType.QInt8 else 'uint8'}"
            path = str(folder / f"{name}.onnx")
            quantize_dynamic(source, path, per_channel=per_channel, weight_type=kind)
            model = onnx.load(path)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            if name == "channel-int8":
                options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
                options.optimized_model_filepath = str(folder / "fused.onnx")
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            (y,) = session.run(None, {"x": x})
            expected["models"][name] = {"weights": weights_of(model), "y": hexadecimal(y)}
    expected["models"]["fused"] = expected["models"]["channel-int8"]
    ops = sorted({node.op_type for node in onnx.load(str(folder / "fused.onnx")).graph.node})
    assert {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"} <= set(ops), ops
(folder / "expected.json").write_text(json.dumps(expected) + "\n")
