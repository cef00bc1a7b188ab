"""stub"""
from dataclasses import dataclass
import numpy as np
from scipy import ndimage
@dataclass(frozen=True, eq=False)
class Prompts:
    slices: np.ndarray; classes: np.ndarray; boxes: np.ndarray; points: np.ndarray; components: np.ndarray; keep: np.ndarray; filled: np.ndarray; acceptance: np.ndarray
def unconstrained(c): return c
def generate_prompts(classes, confidence, *, foreground, spacing, config):
    S,C,B,P=[],[],[],[]; comp=np.zeros(classes.shape,np.int32)
    for z in range(len(classes)):
        for c in range(1,foreground+1):
            lab,n=ndimage.label(classes[z]==c,np.ones((3,3)))
            for i,o in enumerate(ndimage.find_objects(lab),1):
                m=lab==i
                if m.sum()<12: continue
                S.append(z);C.append(c);B.append([o[1].start,o[0].start,o[1].stop,o[0].stop]); cy,cx=ndimage.center_of_mass(m); P.append([cx,cy]); comp[z][m]=len(S)
                if len([1 for a,b in zip(S,C) if a==z and b==c])>=2: break
    return Prompts(np.array(S,int),np.array(C,int),np.array(B,np.float32).reshape(-1,4),np.array(P,np.float32).reshape(-1,2),comp,np.ones(classes.shape,bool),np.zeros(len(S),bool),np.ones(foreground))
