#!/usr/bin/env bash
# Node pools with one L4 a node, down to no node when nothing trains: one on demand, one on spot machines.
# GKE itself sets the label gke-accelerator, the label gke-spot and the taint nvidia.com/gpu, and installs the driver.
set -euo pipefail
: "${CLUSTER:?name of the cluster}" "${LOCATION:?its zone or region, one that has L4}"

pool=(--cluster "$CLUSTER" --location "$LOCATION" --machine-type g2-standard-8
  --accelerator type=nvidia-l4,count=1,gpu-driver-version=default
  --disk-size 100 --enable-autoscaling --num-nodes 0 --min-nodes 0 --max-nodes 1)
gcloud container node-pools create sss-gpu "${pool[@]}"
# Without this taint runs that did not ask for spot could land there.
gcloud container node-pools create sss-gpu-spot "${pool[@]}" --spot \
  --node-taints cloud.google.com/gke-spot=true:NoSchedule
