"""tensorNet: a model's engine, its cache beside the model, and what it says while it builds [T1] to [T9]."""

import hashlib
import json
import os
import signal
import subprocess
import time

import onnxruntime

from jetson_face import face, log, settings

KINDS = {"onnx": "ONNX", "caffemodel": "caffe", "uff": "UFF", "engine": "engine"}
# char cache_prefix[512] before June 2022 [T4]
OLD_PATH_BYTES = 512
STEPS = 8


class LoadFailed(Exception):
    """LoadNetwork returned false; the log has said why."""


def locate(path):
    """[T2] The path as given, then the library's own folders, of which a double has none."""
    return path if os.path.exists(path) else ""


def load_network(model, input_blob, output_blob):
    """The session of the engine, with its bindings checked. Raises LoadFailed."""
    version = settings.get("tensorrt")
    log.info(f"{log.TRT}TensorRT version {version // 1000}.{version // 100 % 10}.{version % 100}")
    path = locate(model)
    extension = os.path.splitext(model)[1][1:].lower()
    if KINDS.get(extension) is None:
        log.error(f"{log.TRT}model format 'custom' not supported by jetson-inference")
        raise LoadFailed()
    log.warning(log.TRT + "requested fasted precision for device GPU without providing valid calibrator, disabling INT8")
    log.info(log.TRT + "selecting fastest native precision for GPU:  FP16")
    engine = f"{path}.1.1.{version}.GPU.FP16.engine"
    if not face.current.long_paths and len(os.fsencode(engine)) >= OLD_PATH_BYTES:
        os.abort()  # sprintf beyond the end of the buffer
    if _is_valid(path, engine):
        log.info(f"{log.TRT}loading network plan from engine cache... {engine}")
        with open(engine, "rb") as stream:
            data = stream.read()
        if not data:
            log.error(f"{log.TRT}invalid engine cache file size (0 bytes)  {engine}")
            raise LoadFailed()
    else:
        data = _build_and_keep(model, path, engine)
    log.success(f"{log.TRT}device GPU, loaded {path}")
    return _bind(_deserialize(data, path), input_blob, output_blob)


def _is_valid(path, engine):
    if not os.path.exists(engine):
        log.info(f"{log.TRT}could not find engine cache {engine}")
        return False
    if not face.current.checksum:
        return True  # [T5] whatever became of the model since
    checksum = path + ".sha256sum"
    if not os.path.exists(checksum):
        log.info(f"{log.TRT}could not find model checksum {checksum}")
        return False
    # [T6] through a shell, and the paths unquoted
    told = subprocess.call(f'echo "$(cat {checksum}) {path}" | sha256sum --check --status', shell=True,
                           stderr=subprocess.DEVNULL)
    return told == 0


def _build_and_keep(model, path, engine):
    log.info(log.TRT + "cache file invalid, profiling network model on device GPU")
    if not path:
        log.error(f"\nerror:  model file '{model}' was not found.")
        raise LoadFailed()
    data = _build(path)
    log.info(f"{log.TRT}network profiling complete, saving engine cache to {engine}")
    try:
        with open(engine, "wb") as stream:
            try:
                stream.write(data)
                stream.flush()
            except OSError:
                log.error(f"{log.TRT}failed to write {len(data)} bytes to engine cache file {engine}")
    except OSError:
        log.error(f"{log.TRT}failed to open engine cache file for writing {engine}")  # [T7] and it goes on
    log.success(f"{log.TRT}device GPU, completed saving engine cache to {engine}")
    if face.current.checksum:
        command = f"sha256sum {path} | awk '{{print $1}}' > {path}.sha256sum"
        if subprocess.call(command, shell=True, stderr=subprocess.DEVNULL):
            log.error(f"{log.TRT}failed to save model checksum to {path}.sha256sum")
    return data


def _session(network):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the tests beside it want the others
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _build(path):
    """[T3] The engine: here what it was built for, and the network."""
    with open(path, "rb") as stream:
        network = stream.read()
    try:
        _session(network)
    except Exception:
        log.error(f"{log.TRT}failed to parse ONNX model '{path}'")
        raise LoadFailed() from None
    log.info(log.TRT + "device GPU, building CUDA engine (this may take a few minutes the first time a network is loaded)")
    for step in range(STEPS):
        time.sleep(settings.get("build_s") / STEPS)
        log.info(f"{log.TRT}--------------- Timing Runner: Conv_{step} (CudnnConvolution)")
        _fail_if_asked(step)
    log.success(log.TRT + "device GPU, completed building CUDA engine")
    built = {"tensorrt": settings.get("tensorrt"), "device": settings.get("device"),
             "sha256": hashlib.sha256(network).hexdigest()}
    return json.dumps(built).encode() + b"\n" + network


def _fail_if_asked(step):
    how = settings.get("build")
    if how is None or step < STEPS // 2:
        return
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)  # the kernel, for lack of memory
    if how == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "out_of_memory":
        log.error(log.TRT + "1: [virtualMemoryBuffer.cpp::resizePhysical::144] Error Code 1: Cuda Driver (out of memory)")
    log.error(log.TRT + "device GPU, failed to build CUDA engine")
    raise LoadFailed()


def _deserialize(data, path):
    """[T8] An engine of another TensorRT or device, or half of one, is refused."""
    try:
        head, _, network = data.partition(b"\n")
        built = json.loads(head.decode())
        if hashlib.sha256(network).hexdigest() != built["sha256"]:
            raise ValueError("the file is not whole")
        if (built["tensorrt"], built["device"]) != (settings.get("tensorrt"), settings.get("device")):
            raise ValueError("built elsewhere")
        return _session(network)
    except Exception:
        if settings.get("foreign") == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        log.error(log.TRT + "device GPU, failed to create CUDA engine")
        log.error(f"{log.TRT}failed to create TensorRT engine for {path}, device GPU")
        raise LoadFailed() from None


def _bind(session, input_blob, output_blob):
    """[T9]"""
    if input_blob not in [each.name for each in session.get_inputs()]:
        log.error(f"{log.TRT}failed to find requested input layer {input_blob} in network")
        raise LoadFailed()
    if output_blob not in [each.name for each in session.get_outputs()]:
        log.error(f"{log.TRT}failed to find requested output layer {output_blob} in network")
        raise LoadFailed()
    return session
