#!/usr/bin/env bash
# Node pools with one A100 a node, down to no node when nothing trains: one on demand, one on spot machines.
# AKS itself sets the label accelerator and, on spot pools, label and taint scalesetpriority. NVIDIA's device plugin is
# yours to install; it has to tolerate sku=gpu.
set -euo pipefail
: "${RESOURCE_GROUP:?resource group of the cluster}" "${CLUSTER:?name of the cluster}"

pool=(--resource-group "$RESOURCE_GROUP" --cluster-name "$CLUSTER" --node-vm-size Standard_NC24ads_A100_v4
  --node-osdisk-size 128 --node-taints sku=gpu:NoSchedule
  --enable-cluster-autoscaler --node-count 0 --min-count 0 --max-count 1)
az aks nodepool add --name sssgpu "${pool[@]}"
# Spot at any price up to the one on demand.
az aks nodepool add --name sssgpuspot "${pool[@]}" --priority Spot --eviction-policy Delete --spot-max-price -1
