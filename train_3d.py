"""Medical-SAM2's command line for volumes: ``python train_3d.py -dataset btcv …``; docs/medical-sam2.md."""

from sss_ops.medical_sam2.run import main

if __name__ == "__main__":
    main(3)
