"""Medical-SAM2's command line for photographs, as in docs/how-to/medical-sam2.md."""

from sss_ops.medical_sam2.run import main

if __name__ == "__main__":
    main(2)
