"""Training on several nodes: a Kubeflow Trainer ``TrainJob``, launched, followed and deleted by the step ``train``."""

from components.trainjob.launch import run_training_job as run_training_job
from components.trainjob.watch import TrainingJobError as TrainingJobError
