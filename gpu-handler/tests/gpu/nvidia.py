#!/usr/bin/env python3
"""An NVIDIA card made of software, for tests on machines without one.

It stands where the handler's launcher stands, in front of the sandbox: what the handler tells FFmpeg
to do on a GPU is handed on as the same work in software, and what the card described by CARD cannot do
is refused as FFmpeg and the driver refuse it. The sandbox and FFmpeg behind it are the real ones.

    nvidia.py CARD sandbox ORDER -- PROGRAM ARGUMENT…

CARD is JSON: handler (path of the real launcher), model, cuda, decodes (["h264/yuv420p"]), nvenc,
sessions, slots (a directory of lock files, one a session), refuses (sources whose decoding is refused
although their codec is decoded: "source"), dies (a file on whose appearance the driver fails).
"""

import fcntl
import glob
import json
import os
import re
import subprocess
import sys
import time

DECODING = {"-hwaccel", "-hwaccel_output_format", "-extra_hw_frames"}
ENCODING = {"-rc", "-b:v", "-b_ref_mode", "-no-scenecut", "-strict_gop"}


def say(line):
    print(line, file=sys.stderr, flush=True)


def refuse(*lines):
    for line in lines:
        say(line)
    sys.exit(1)


def value(args, option):
    return args[args.index(option) + 1] if option in args else None


def in_software(args):
    """The same work without a GPU."""
    made = []
    pairs = iter(args)
    for arg in pairs:
        if arg in DECODING | ENCODING:
            next(pairs)
        elif arg == "h264_nvenc":
            made.append("libx264")
        elif arg == "-cq":
            made += ["-crf", next(pairs), "-sc_threshold", "0"]
        elif arg == "-preset":
            preset = next(pairs)
            made += ["-preset", "ultrafast" if re.fullmatch("p[1-7]", preset) else preset]
        elif arg in ("-filter_complex", "-vf"):
            graph = next(pairs)
            graph = re.sub(
                r"scale_cuda=(w=\d+:h=\d+):interp_algo=bicubic:format=(\w+)",
                r"scale=\1,format=\2",
                graph,
            )
            graph = re.sub(r"hwupload_cuda|hwdownload", "null", graph)
            made += [arg, re.sub(r"(yadif|bwdif)_cuda", r"\1", graph)]
        else:
            made.append(arg)
    return made


def decodes(card, source):
    """Whether NVDEC takes the video of a file."""
    if os.path.basename(source) in card.get("refuses", []):
        return False
    ask = ["/usr/bin/env", "ffprobe", "-v", "error", "-select_streams", "v:0"]
    ask += ["-show_entries", "stream=codec_name,pix_fmt", "-of", "csv=p=0", source]
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    told = subprocess.run(ask, capture_output=True, text=True, env=path, check=True)
    codec, pixel_format = told.stdout.strip().strip(",").split(",")[:2]
    # The `j` says that the range is full, which is nothing to a decoder.
    return f"{codec}/{pixel_format.replace('yuvj', 'yuv')}" in card["decodes"]


def check_decoder(card, args):
    if "-hwaccel" not in args:
        return
    if decodes(card, value(args, "-i").removeprefix("file:")):
        return
    say("[h264 @ 0x1] [error] Failed setup for format cuda: hwaccel initialisation returned error.")
    # FFmpeg goes on in software; a graph for frames in GPU memory cannot.
    if "-hwaccel_output_format" in args:
        refuse(
            "[error] Impossible to convert between the formats supported by the filter "
            "'graph 0 input from stream 0:0' and the filter 'auto_scale_0'",
            "[error] Error reinitializing filters!",
        )


def open_sessions(card, args):
    """Takes a lock for each NVENC session, kept until FFmpeg ends, whoever else has some."""
    wanted = args.count("h264_nvenc")
    if wanted and card.get("model"):
        say(f"[h264_nvenc @ 0x1] [verbose] [ GPU #0 - < {card['model']} > has Compute SM 8.9 ]")
    if wanted and not card["nvenc"]:
        refuse(
            "[h264_nvenc @ 0x1] [error] OpenEncodeSessionEx failed: unsupported device (2): (no details)",
            "[h264_nvenc @ 0x1] [error] No capable devices found",
        )
    held = []
    for number in range(card["sessions"]):
        if len(held) == wanted:
            break
        slot = os.open(f"{card['slots']}/{number}", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.set_inheritable(slot, True)
            held.append(slot)
        except BlockingIOError:
            os.close(slot)
    if len(held) < wanted:
        refuse("[h264_nvenc @ 0x1] [error] OpenEncodeSessionEx failed: out of memory (10): (no details)")


def die(command, sign):
    """Runs FFmpeg, no faster than the source plays, until the driver fails."""
    command.insert(command.index("-i"), "-re")
    running = subprocess.Popen(command)
    while running.poll() is None:
        if glob.glob(sign):
            running.kill()
            running.wait()
            refuse("[error] dl_fn->cuvidMapVideoFrame failed -> CUDA_ERROR_UNKNOWN: unknown error")
        time.sleep(0.01)
    sys.exit(running.returncode)


def main():
    card = json.loads(sys.argv[1])
    order, (program, *args) = sys.argv[2:5], sys.argv[5:] or [""]
    on_gpu = [arg for arg in args if "cuda" in arg or arg == "h264_nvenc"]
    if on_gpu:
        if not card["cuda"]:
            refuse("[AVHWDeviceContext @ 0x1] [error] Cannot load libcuda.so.1")
        if any("bwdif_cuda" in arg for arg in on_gpu):
            refuse("[error] No such filter: 'bwdif_cuda'")
        check_decoder(card, args)
        open_sessions(card, args)
        args = in_software(args)
    command = [card["handler"], *order] + ([program, *args] if program else [])
    if on_gpu and card.get("dies") and "file:../source" in args:
        die(command, card["dies"])
    os.execv(command[0], command)


main()
