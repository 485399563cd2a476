#!/bin/sh
# build.sh CHROMIUM_FOLDER OUT CC: OUT becomes a copy of the folder (hard links where the file system allows) in which WebGPU's
# software driver is shim.c. GL keeps the real one: its loader file points at the renamed library.
set -eu
from=$1 out=$2 cc=$3 here=$(cd "$(dirname "$0")" && pwd)
stamp="$(cksum < "$here/shim.c") $(cksum < "$from/chromium")"
[ -x "$out/chromium" ] && [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ] && exit 0
rm -rf "$out"
mkdir -p "$(dirname "$out")"
cp -al "$from" "$out" 2>/dev/null || { rm -rf "$out"; cp -a "$from" "$out"; }
mv "$out/libvk_swiftshader.so" "$out/libvk_swiftshader_own.so"
"$cc" -shared -fPIC -O1 -fvisibility=hidden -o "$out/libvk_swiftshader.so" "$here/shim.c" -ldl
rm -f "$out/vk_swiftshader_icd.json" # a new file: writing through a hard link would change the installed one
printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "./libvk_swiftshader_own.so", "api_version": "1.0.5"}}\n' > "$out/vk_swiftshader_icd.json"
printf '%s' "$stamp" > "$out/.stamp"
