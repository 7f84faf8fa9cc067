"""The ONNX operators that the TensorRT of JetPack 4.6 reads: 8.0 (JetPack 4.6.0) and 8.2 (4.6.1 and later).

OPERATORS are those that both releases of NVIDIA's parser list as supported without a warning that they are experimental;
RESTRICTIONS is what either list or either parser's source (builtin_op_importers.cpp) demands of those that an image
classifier may have. onnx_file.check holds a model to both.
"""

OPSETS = (11, 12, 13)

# (TensorRT, date of the commit, list)
SOURCES = (
    (
        "8.0",
        "2021-07-02",
        "https://github.com/onnx/onnx-tensorrt/blob/8fea430fc1ad452085add61b04045a9efbf2b981/docs/operators.md",
    ),
    (
        "8.2",
        "2021-11-23",
        "https://github.com/onnx/onnx-tensorrt/blob/85e79f629fb546a75d61e3027fb259a9529144fe/docs/operators.md",
    ),
)

OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip
    Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Elu
    Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity If ImageScaler InstanceNormalization LRN LSTM
    LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean Min Mul Neg Not Or
    PRelu Pad ParametricSoftplus Pow QuantizeLinear RNN RandomUniform RandomUniformLike Range ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize ReverseSequence ScaledTanh Scan Selu Shape Sigmoid Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Where
    """.split()
)

RESTRICTIONS = {
    "AveragePool": "two or three dimensions; dilations 1; padding even, or one more at the end",
    "Clip": "8.0: the bounds are initializers (8.0 clips with other bounds by slower layers, in float32 alone)",
    "Conv": "two or three dimensions; 8.2: the weights are an initializer, and so is the bias in both",
    "Gather": "8.0: no negative indices",
    "Gemm": "float; a bias that is an initializer of one dimension makes it a fully connected layer",
    "HardSigmoid": "none, alpha and beta are read; HardSwish (opset 14) is in neither list",
    "MaxPool": "two or three dimensions; dilations 1; no output of indices",
    "Pad": "8.0: zeros only, on two dimensions; pads and value are initializers",
    "Slice": "axes are an initializer",
    "Split": "8.0: split is an initializer",
    "Squeeze": "axes are an initializer",
    "Unsqueeze": "axes are constant",
}
